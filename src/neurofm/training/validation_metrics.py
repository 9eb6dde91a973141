"""The number by which a checkpoint is chosen: AUC for classes, squared error for numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from neurofm.cohorts.index import participant_keys
from neurofm.config.tuning import ChoosingConfig
from neurofm.errors import RunError
from neurofm.training.task import Task

Values = Float[np.ndarray, " scans"]
Said = Float[np.ndarray, "scans values"]


@dataclass(frozen=True)
class Choice:
    """A metric of the validation part.

    Attributes:
        metric: "AUC", "MSE" or "loss".
        better: which way is better.
        compute: from known values and predictions; not used for the loss.
    """

    metric: str
    better: Literal["lower", "higher"]
    compute: Callable[[Values, Said], float]

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value beats another; ties keep the earlier one."""
        return value > than if self.better == "higher" else value < than


def choose_metric(task: Task, config: ChoosingConfig) -> Choice:
    """The metric that a recipe asks for; "auto" is the paper's.

    Raises:
        RunError: the task, or its validation part, does not allow it.
    """
    people = participant_keys(task.validation)
    weights = 1.0 / people.map(people.value_counts()).to_numpy(dtype=np.float64)
    known = np.array([task.values[int(row)] for row in task.validation.index])
    require_choice(task.head.classes, known, config)
    if config.validation_metric == "loss":
        return Choice("loss", "lower", lambda known, said: float("nan"))
    if task.head.kind == "regression":
        return Choice("MSE", "lower", lambda known, said: _squared_error(known, said, weights))
    return Choice("AUC", "higher", lambda known, said: _area(known, said, weights))


def require_choice(classes: Sequence[str], known: Values, config: ChoosingConfig) -> None:
    """See that a validation part can choose as a recipe asks for.

    Args:
        classes: of the task; none for a number.
        known: the truth of the validation part.
        config: of the recipe.

    Raises:
        RunError: the task, or its validation part, does not allow it.
    """
    asked, where = config.validation_metric, "choosing.validation_metric"
    if asked == "loss":
        return
    if not classes:
        if asked == "AUC":
            raise RunError("a number has no AUC", "use auto or MSE", where)
        return
    if asked == "MSE":
        raise RunError("classes have no MSE", "use auto or AUC", where)
    if len(set(known.tolist())) < 2:
        only = classes[int(known[0])]
        raise RunError(
            f"the validation part has only '{only}', so there is no AUC to choose by",
            f"use {where}=loss, or see the split of the index", where,
        )  # fmt: skip


def _squared_error(known: Values, said: Said, weights: Values) -> float:
    return float(np.average((said[:, 0] - known) ** 2, weights=weights))


def _area(known: Values, said: Said, weights: Values) -> float:
    """AUC of the last of two classes; of more, the mean over those present against the rest."""
    classes = [1] if said.shape[1] == 2 else [int(each) for each in np.unique(known)]
    areas = [_pairs_won(known == label, said[:, label], weights) for label in classes]
    return float(np.mean(areas))


def _pairs_won(positive: Bool[np.ndarray, " scans"], score: Values, weights: Values) -> float:
    """Weighted share of pairs of classes in which the positive scan scores above; ties are half.

    As `roc_auc_score` of scikit-learn, whose checks of its input take fifty times as long: a probe
    on cached features would spend most of its time there.
    """
    place = np.unique(score, return_inverse=True)[1]
    above = np.bincount(place, weights * positive)
    below = np.bincount(place, weights * ~positive)
    return float(above @ (np.cumsum(below) - below / 2) / (above.sum() * below.sum()))
