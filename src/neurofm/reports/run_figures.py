"""The figures of a run's page: what is drawn, and what of it is healthy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofm.config.recipe import Recipe
from neurofm.data.targets import SITE_TASK
from neurofm.reports.curves import Curve, Reference, draw_curve, with_minus
from neurofm.reports.training_log import ProbeCurve, RunCourse
from neurofm.reports.words import metric_title, number, task_title

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


def chance_loss(recipe: Recipe) -> float:
    """What NT-Xent costs where all views look the same: log(2N - 1) for N participants."""
    return math.log(2 * recipe.training.batch_size - 1)


def latest(values: Values) -> float:
    """The mean of the last 20 steps that have a value; NaN without any."""
    known = values[np.isfinite(values)][-_LATEST_STEPS:]
    return float(known.mean()) if len(known) else math.nan


def learning_figures(course: RunCourse, recipe: Recipe) -> tuple[RunFigure, ...]:
    """Loss, learning rate and gradient."""
    steps = course.steps
    chance = Reference(chance_loss(recipe), "nothing told apart")
    return (
        _figure(
            course,
            Curve("Loss", *_over(course, steps.loss), references=(chance,)),
            "Falls, fast at first, well below the dashed line: a loss that stays there has learnt "
            "nothing.",
        ),
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
    """Alignment, uniformity and effective rank, with the limits of the alarm."""
    steps, health = course.steps, recipe.health
    ceiling = min(2 * recipe.training.batch_size - 1, recipe.encoder.features)
    return (
        _figure(
            course,
            Curve("Alignment", *_over(course, steps.alignment), reaches_zero=True),
            "Squared distance of two views of a person: 0 the same, 2 unrelated. Falls once the "
            "loss falls; with a uniformity near 0 it says nothing.",
        ),
        _figure(
            course,
            Curve(
                "Uniformity",
                *_over(course, steps.uniformity),
                references=(Reference(health.max_uniformity, "alarm above", is_limit=True),),
            ),
            "How evenly projections spread: 0 all in one place, \N{MINUS SIGN}1.6 around a circle, "
            "\N{MINUS SIGN}4 evenly. Falls below \N{MINUS SIGN}1 and stays there.",
        ),
        _figure(
            course,
            Curve(
                "Effective rank",
                *_over(course, steps.effective_rank),
                references=(Reference(health.min_effective_rank, "alarm below", is_limit=True),),
                reaches_zero=True,
            ),
            f"Directions that the features of a batch use, at most {ceiling}. Falls from its "
            "untrained value, then levels off far above the dashed line.",
        ),
    )


def speed_figures(course: RunCourse) -> tuple[RunFigure, ...]:
    """Pairs a second, the time lost waiting, and steps lost."""
    steps = course.steps
    return (
        _figure(
            course,
            Curve("Pairs a second", *_over(course, steps.pairs_per_second), reaches_zero=True),
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


def probe_figures(course: RunCourse) -> tuple[RunFigure, ...]:
    """What a linear probe read from the features, a figure a task."""
    return tuple(_probe_figure(course, probe) for probe in course.probes)


def _probe_figure(course: RunCourse, probe: ProbeCurve) -> RunFigure:
    metric = metric_title(probe.metric, probe.task)
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


def _over(course: RunCourse, values: Values) -> tuple[Values, Values, str]:
    x, label = _places(course, course.steps.step)
    return x, values, label


def _places(course: RunCourse, step: Values) -> tuple[Values, str]:
    """Places along the horizontal axis, in epochs as soon as one is finished."""
    if course.steps_an_epoch is None:
        return step, "step"
    return step / course.steps_an_epoch, "epoch"
