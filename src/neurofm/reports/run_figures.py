"""The figures of a run's page: what is drawn, and what of it is healthy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofm.config.objectives import MAEConfig, SimCLRConfig, SupervisedConfig
from neurofm.config.recipe import Recipe
from neurofm.data.targets import SITE_TASK
from neurofm.reports.curves import Curve, Reference, draw_curve, with_minus
from neurofm.reports.training_log import ProbeCurve, RunCourse
from neurofm.reports.words import metric_title, number, task_title, task_unit

Values = npt.NDArray[np.float64]

_LATEST_STEPS = 20


@dataclass(frozen=True)
class RunFigure:
    """One curve on the page.

    Attributes:
        title: its heading.
        latest: how it stands now.
        svg: the drawing.
        healthy: one sentence or two on what is healthy.
    """

    title: str
    latest: str
    svg: str
    healthy: str


def chance_loss(recipe: Recipe) -> float | None:
    """What NT-Xent costs where all views look the same: log(2N - 1) for N participants.

    None for other losses, which have no such value.
    """
    if not isinstance(recipe.objective, SimCLRConfig):
        return None
    return math.log(2 * recipe.training.batch_size - 1)


def latest(values: Values) -> float:
    """The mean of the last 20 steps that have a value; NaN without any."""
    known = values[np.isfinite(values)][-_LATEST_STEPS:]
    return float(known.mean()) if len(known) else math.nan


def learning_figures(course: RunCourse, recipe: Recipe) -> tuple[RunFigure, ...]:
    """Loss, what else was measured of it, learning rate and gradient."""
    steps = course.steps
    return (
        _loss_figure(course, recipe),
        *_patch_figures(course, recipe),
        _figure(
            course,
            Curve("Learning rate", *_over(course, steps.learning_rate), reaches_zero=True),
            "As the recipe asks: constant, or a rise and a slow fall.",
        ),
        _figure(
            course,
            Curve("Gradient norm", *_over(course, steps.gradient_norm), is_logarithmic=True),
            "Level or slowly falling. Spikes that come again and again ask for a lower learning "
            "rate; towards 0 with a high loss, nothing is learnt any more.",
        ),
    )


def feature_figures(course: RunCourse, recipe: Recipe) -> tuple[RunFigure, ...]:
    """Alignment, uniformity and effective rank, where the objective has them."""
    steps, health = course.steps, recipe.health
    limit = Reference(health.max_uniformity, "alarm above", is_limit=True)
    contrast = (
        _figure(
            course,
            Curve("Alignment", *_over(course, steps.alignment), reaches_zero=True),
            "Squared distance of two views of a person: 0 the same, 2 unrelated. Falls once the "
            "loss falls; with a uniformity near 0 it says nothing.",
        ),
        _figure(
            course,
            Curve("Uniformity", *_over(course, steps.uniformity), references=(limit,)),
            "How evenly projections spread: 0 all in one place, \N{MINUS SIGN}1.6 around a circle, "
            "\N{MINUS SIGN}4 evenly. Falls below \N{MINUS SIGN}1 and stays there.",
        ),
    )
    shown = contrast if _has(steps.uniformity) else ()
    return (*shown, _rank_figure(course, recipe)) if _has(steps.effective_rank) else shown


def _loss_figure(course: RunCourse, recipe: Recipe) -> RunFigure:
    chance = chance_loss(recipe)
    levels = () if chance is None else (Reference(chance, "nothing told apart"),)
    healthy = (
        "Falls, fast at first, well below the dashed line: a loss that stays there has learnt "
        "nothing."
    )
    if isinstance(recipe.objective, SupervisedConfig):
        healthy = "Falls; towards 0, the training part is known by heart. See the validation."
    if isinstance(recipe.objective, MAEConfig):
        healthy = (
            "Mean squared error of the hidden patches, a voxel. Falls, fast at first. The pictures "
            "below tell whether it is better than simple guesses."
        )
    return _figure(
        course, Curve("Loss", *_over(course, course.steps.loss), references=levels), healthy
    )


def _patch_figures(course: RunCourse, recipe: Recipe) -> tuple[RunFigure, ...]:
    """The errors of a masked autoencoder; none of another objective."""
    if not isinstance(recipe.objective, MAEConfig):
        return ()
    learnt = "those with brain" if recipe.objective.only_brain else "all hidden patches"
    plain = (Reference(1.0, "the patch's mean"),) if recipe.objective.normalise_patches else ()
    brain, everything = course.steps.mse_brain_patches, course.steps.mse_all_patches
    return (
        _figure(
            course,
            Curve("Error, hidden patches with brain", *_over(course, brain), references=plain),
            "Falls more slowly than that of all patches, as it is the brain that differs between "
            "people.",
        ),
        _figure(
            course,
            Curve("Error, all hidden patches", *_over(course, everything)),
            f"Background included, which is soon learnt. The loss is taken over {learnt}.",
        ),
    )


def _rank_figure(course: RunCourse, recipe: Recipe) -> RunFigure:
    is_contrast = isinstance(recipe.objective, SimCLRConfig)
    limit = Reference(recipe.health.min_effective_rank, "alarm below", is_limit=True)
    ceiling = min((1 + is_contrast) * recipe.training.batch_size - 1, recipe.encoder.features)
    curve = Curve(
        "Effective rank",
        *_over(course, course.steps.effective_rank),
        references=(limit,) if is_contrast else (),
        reaches_zero=True,
    )
    healthy = (
        "Falls from its untrained value, then levels off far above the dashed line."
        if is_contrast
        else "Falls while the error falls, as features turn to what people differ in. No alarm."
    )
    told = f"Directions that the features of a batch use, at most {ceiling}. {healthy}"
    return _figure(course, curve, told)


def speed_figures(course: RunCourse, recipe: Recipe) -> tuple[RunFigure, ...]:
    """Participants a second, the time lost waiting, and steps lost."""
    steps = course.steps
    counted = "Pairs" if isinstance(recipe.objective, SimCLRConfig) else "Participants"
    return (
        _figure(
            course,
            Curve(f"{counted} a second", *_over(course, steps.pairs_per_second), reaches_zero=True),
            "Level. A fall means that something else is using the machine or the disk.",
        ),
        _figure(
            course,
            Curve(
                "Waiting for data (%)",
                *_over(course, 100 * steps.data_wait_share),
                reaches_zero=True,
            ),
            "Near 0. Above 10 % the disk or the views hold the training up: a faster disk or more "
            "processor cores would make it faster.",
        ),
        _figure(
            course,
            Curve(
                "Skipped steps",
                *_over(course, np.cumsum(np.nan_to_num(steps.skipped_steps))),
                reaches_zero=True,
            ),
            "Stays at 0. Each is a step without a finite loss or gradient, whose scans are in the "
            "log; nothing was learnt from it.",
            adds_up=True,
        ),
    )


def validation_figures(course: RunCourse) -> tuple[RunFigure, ...]:
    """What the validation part says after each epoch; none of a pre-training."""
    curve = course.validation
    if curve is None:
        return ()
    x, label = _places(course, curve.step)
    best = with_minus(f"{curve.best:.3g} after epoch {curve.best_epoch}")
    loss = with_minus(f"{curve.loss[-1]:.3g}")
    chosen = Reference(curve.best, "best")
    return (
        RunFigure(
            f"Validation: {curve.metric}",
            f"best {best}",
            draw_curve(Curve(curve.metric, x, curve.value, label, references=(chosen,))),
            "The weights of the best epoch are the ones that stay. A best that came early, and a "
            "curve that gets worse after it, is a model that learns its training part by heart.",
        ),
        RunFigure(
            "Validation: loss",
            loss,
            draw_curve(Curve("loss", x, curve.loss, label)),
            "Falls with the loss of training; where it rises while that falls, the model fits the "
            "training part only.",
        ),
    )


def probe_figures(course: RunCourse) -> tuple[RunFigure, ...]:
    """What a linear probe read from the features, a figure a task."""
    return tuple(_probe_figure(course, probe) for probe in course.probes)


def _probe_figure(course: RunCourse, probe: ProbeCurve) -> RunFigure:
    metric = metric_title(probe.metric, task_unit(probe.task))
    title = f"{task_title(probe.task)}: {metric}"
    x, label = _places(course, probe.step)
    curve = Curve(
        title,
        x,
        probe.value,
        label,
        low=probe.low,
        high=probe.high,
        references=(Reference(float(probe.chance[-1]), "chance"),),
        has_dots=True,
    )
    text = number(float(probe.value[-1]), probe.metric)
    chance = number(float(probe.chance[-1]), probe.metric)
    if probe.task == SITE_TASK:
        told = (
            "This one should not rise: an encoder that tells sites apart has learnt the scanner, "
            "or the people scanned there."
        )
    else:
        side = "below" if probe.better == "lower" else "above"
        told = f"Moves away from chance: {side} the dashed line is better."
    return RunFigure(
        title,
        f"{text} (chance {chance}), {probe.participants} participants",
        draw_curve(curve),
        told,
    )


def _figure(course: RunCourse, curve: Curve, healthy: str, adds_up: bool = False) -> RunFigure:
    value = float(curve.y[-1]) if adds_up else latest(curve.y)
    text = "no value" if math.isnan(value) else with_minus(f"{value:.3g}")
    return RunFigure(curve.title, text, draw_curve(curve), healthy)


def _has(values: Values) -> bool:
    return bool(np.isfinite(values).any())


def _over(course: RunCourse, values: Values) -> tuple[Values, Values, str]:
    x, label = _places(course, course.steps.step)
    return x, values, label


def _places(course: RunCourse, step: Values) -> tuple[Values, str]:
    """Places along the horizontal axis, in epochs as soon as one is finished."""
    if course.steps_an_epoch is None:
        return step, "step"
    return step / course.steps_an_epoch, "epoch"
