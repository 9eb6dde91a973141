"""The probe between epochs: what a linear model reads from the encoder as it stands just now.

It shows where a run is going. It is no result: it reads participants that pre-training sees, and
the held-out ones stay unread until `neurofm evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from neurofm.config.recipe import Recipe
from neurofm.data.participants import one_scan_each
from neurofm.data.targets import Target, build_target
from neurofm.evaluation.metrics import METRICS, Metric, Outcome
from neurofm.evaluation.probe import cross_validate
from neurofm.evaluation.probing import task_names, why_not_evaluated
from neurofm.evaluation.uncertainty import bootstrap, percentile_interval, resample_weights
from neurofm.models.embeddings import embed_store
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import encoder_tensors
from neurofm.progress import SilentProgress
from neurofm.seeds import random_stream
from neurofm.store.reader import Store
from neurofm.training.onlookers import ProbeScore

# Probed wherever the index has them, beside the recipe's own targets.
_USUAL = ("age_years", "sex", "diagnosis")
_RESAMPLES = 200


class EpochProbe:
    """Called with an objective's tensors by name; always reads the same scans.

    The encoder is built anew from its tensors, so the one in training is not touched.

    Args:
        recipe: encoder, seed, folds, confidence.
        store: open.
        rows: rows of the store, one of each participant.
        targets: tasks; their `rows` are places in `rows`.
        device: where to encode.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        rows: tuple[int, ...],
        targets: tuple[Target, ...],
        device: torch.device,
    ) -> None:
        self.rows, self.targets = rows, targets
        self._recipe, self._store, self._device = recipe, store, device

    def __call__(self, state: Mapping[str, Tensor]) -> tuple[ProbeScore, ...]:
        """The score of every task, by a probe cross-validated by participant.

        Args:
            state: tensors named "encoder.*"; others are left aside.
        """
        encoder = self._encoder_of(state)
        features = embed_store(encoder, self._store, self.rows, self._device, SilentProgress())
        # Small problems: several threads only wait for each other.
        with threadpool_limits(1):
            return tuple(self._score(features, target) for target in self.targets)

    def _encoder_of(self, state: Mapping[str, Tensor]) -> nn.Module:
        encoder = build_encoder(self._recipe.encoder, spacing_mm=self._store.spacing_mm)
        encoder.load_state_dict(encoder_tensors(state))
        return encoder.eval().requires_grad_(False)

    def _score(self, features: Float[np.ndarray, "scans features"], target: Target) -> ProbeScore:
        config, seed = self._recipe.evaluation, self._recipe.seed
        of_task = features[target.rows]
        outcome, blind = (
            cross_validate(read, target, config.folds, seed, repeat=0)
            for read in (of_task, of_task[:, :0])
        )
        metric = METRICS[target.kind][0]
        strata = np.zeros(len(target.rows), np.int64)
        if target.kind != "regression":
            strata = target.values.astype(np.int64)
        stream = random_stream("probe bootstrap", seed, target.task)
        weights = resample_weights(target.participants, strata, _RESAMPLES, stream)
        interval = percentile_interval(
            bootstrap(partial(metric.compute, outcome), weights), config.confidence
        )
        return ProbeScore(
            task=target.task,
            metric=metric.name,
            better=metric.better,
            value=_value(metric, outcome),
            low=interval.low,
            high=interval.high,
            chance=_value(metric, blind),
            participants=target.num_participants,
        )


def epoch_probe(
    recipe: Recipe, store: Store, frame: pd.DataFrame, device: torch.device
) -> EpochProbe | None:
    """The probe of a run, over a fixed part of the participants it sees.

    Tasks are the recipe's `evaluation.targets`, age, sex, diagnosis and site, as far as the index
    has labels enough for `evaluation.folds` folds.

    Args:
        recipe: `health.probe_participants` of those with a label are drawn by its seed.
        store: open.
        frame: the rows of the store's index that the run sees.
        device: where to encode.

    Returns:
        None where there is nothing to predict.
    """
    columns = [
        name
        for name in dict.fromkeys([*recipe.evaluation.targets, *_USUAL])
        if name in frame and frame[name].notna().any()
    ]
    tasks = task_names(frame, columns)
    labelled = frame if len(tasks) > len(columns) else frame[frame[columns].notna().any(axis=1)]
    if not tasks:
        return None
    chosen = one_scan_each(labelled, recipe.health.probe_participants, recipe.seed)
    folds = recipe.evaluation.folds
    targets = [build_target(chosen, name, folds) for name in tasks]
    usable = tuple(target for target in targets if not why_not_evaluated(target, folds))
    rows = tuple(int(row) for row in chosen.index)
    return EpochProbe(recipe, store, rows, usable, device) if usable else None


def _value(metric: Metric, outcome: Outcome) -> float:
    return float(metric.compute(outcome, np.ones((1, len(outcome.target))))[0])
