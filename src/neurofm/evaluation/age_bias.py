"""The age bias of a model, and predictions with it taken out: to look at, never to judge by.

Ages of the young are predicted too high and of the old too low (`metrics.bias_slope`). A line of
that error over age, fitted where nobody is tested, can be taken off; it needs the true age of whom
it corrects, so what is left says nothing of how well an age is predicted: the mean, predicted for
everybody, becomes every age exactly. Source: Beheshti et al. 2019 (NeuroImage Clin 24:102063).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neurofm.config.learning import EvaluationConfig
from neurofm.evaluation.metrics import Metric, Outcome, bias_slope, mean_absolute_error
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.scoring import Sample, Score, score

NO_ACCURACY = "no accuracy"
_METRICS = (
    Metric("corrected MAE", "lower", mean_absolute_error, "log"),
    Metric("corrected bias slope", "lower", bias_slope),
)


def corrected_scores(
    sample: Sample, task: TaskRecord, config: EvaluationConfig, seed: int
) -> tuple[Score, ...]:
    """Error and bias slope of the corrected ages; unknown where they were not kept.

    Args:
        sample: of one model.
        task: its record.
        config: resamples and confidence.
        seed: the recipe's.
    """
    corrected = replace(sample, repeats=_corrected(sample.repeats))
    scores = [score(corrected, metric, task, config, seed) for metric in _METRICS]
    return tuple(replace(each, better="none", note=each.note or NO_ACCURACY) for each in scores)


def _corrected(repeats: Sequence[Outcome]) -> list[Outcome]:
    nothing = np.full(len(repeats[0].target), np.nan)
    return [
        replace(each, prediction=nothing if each.corrected is None else each.corrected)
        for each in repeats
    ]
