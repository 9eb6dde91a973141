"""The learning rate as a function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from neurofm.config.learning import TrainingConfig


def learning_rate_at(step: int, steps_an_epoch: int, config: TrainingConfig) -> float:
    """The learning rate of a step: a linear warm-up, then constant or half a cosine.

    The warm-up ends at `learning_rate` in its last step. The cosine starts there in the step after
    and would reach `last_learning_rate` one step after the run's last (Loshchilov and Hutter 2017,
    equation 5, without restarts).

    Args:
        step: of the whole run, from 1.
        steps_an_epoch: steps of every epoch.
        config: schedule, rates and epochs.
    """
    warmup = round(config.warmup_epochs * steps_an_epoch)
    done = step - 1
    if done < warmup:
        return config.learning_rate * (done + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    share = (done - warmup) / (config.epochs * steps_an_epoch - warmup)
    height = config.learning_rate - config.last_learning_rate
    return config.last_learning_rate + height * (1 + math.cos(math.pi * share)) / 2
