"""Leave one site out: a probe of all other sites' people predicts those of a site it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool

from neurofm.cohorts.task_roles import TEST, TRAIN
from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import SITE_TASK, Target, site_labels
from neurofm.evaluation.baselines import Model
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import predict_unseen
from neurofm.evaluation.probing import predictions_table
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.subgroups import subgroup_row

_FEWEST_SITES = 3
_ABOUT_SITES = (SITE_TASK, "cohort")
GROUP = "left-out site"


def left_out_predictions(
    frame: pd.DataFrame,
    tasks: Sequence[PartedTask | Target],
    models: Callable[[str], Sequence[Model]],
    seed: int,
) -> pd.DataFrame:
    """Predictions of each site's people by probes of the other sites', `fold` being the site.

    Of a task with parts, it learns from the training people of the other sites and predicts the
    test people of the one. Penalty and threshold are chosen by folds of the people it learns from.
    Who was scanned at a left-out site is not learnt from, wherever else. Tasks with fewer than
    three sites, and the site itself, are left out.

    Args:
        frame: index rows.
        tasks: with parts, or of people who all learn and test; their places are in `frame`.
        models: linear probes of a task by its name, features as in `frame`.
        seed: the recipe's.

    Returns:
        as `predictions.parquet`; without columns where there is nothing to leave out.
    """
    sites = site_labels(frame).to_numpy(dtype=str)
    tables = [
        _of_site(frame, target, model, repeat, parts, seed)
        for target, divided in (_divided(task, sites) for task in tasks)
        for model in (models(target.task) if divided else ())
        for repeat in range(len(model.repeats))
        for parts in divided
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


@dataclass(frozen=True, eq=False)
class _Parts:
    """Of one left-out site: its number, who is learnt from, who is predicted."""

    site: int
    learn_from: Bool[np.ndarray, " scans"]
    predict: Bool[np.ndarray, " scans"]


def _divided(task: PartedTask | Target, sites: np.ndarray) -> tuple[Target, list[_Parts]]:
    """The parts for each site that has people to predict and leaves people to learn from."""
    target = task if isinstance(task, Target) else task.target
    everybody = np.ones(len(target.rows), bool)
    learners = everybody if isinstance(task, Target) else task.part(TRAIN)
    tested = everybody if isinstance(task, Target) else task.part(TEST)
    where = sites[target.rows]
    names = np.unique(where[tested])
    if target.task in _ABOUT_SITES or len(names) < _FEWEST_SITES:
        return target, []
    divided = []
    for place, name in enumerate(names):
        its_people = np.unique(target.participants[where == name])
        learn_from = learners & ~np.isin(target.participants, its_people)
        divided.append(_Parts(place, learn_from, tested & (where == name)))
    return target, [parts for parts in divided if parts.learn_from.any()]


def _of_site(  # noqa: PLR0917 - a task, a model, a site
    frame: pd.DataFrame, target: Target, model: Model, repeat: int, parts: _Parts, seed: int
) -> pd.DataFrame:
    outcome = predict_unseen(
        model.features(repeat)[target.rows], target,
        learn_from=parts.learn_from, predict=parts.predict, seed=seed,
    )  # fmt: skip
    predicted = replace(
        target,
        rows=target.rows[parts.predict],
        values=target.values[parts.predict],
        participants=target.participants[parts.predict],
        keys=tuple(np.asarray(target.keys, dtype=object)[parts.predict]),
    )
    table = predictions_table(frame, predicted, model.name, repeat, outcome)
    return table.assign(fold=parts.site)


def left_out_table(
    predictions: pd.DataFrame,
    scans: pd.DataFrame,
    tasks: Sequence[TaskRecord],
    config: EvaluationConfig,
    seed: int,
) -> pd.DataFrame:
    """The first metric at each left-out site; columns as those of `subgroup_table`."""
    sites = scans.set_index("scan_id")["site"]
    rows = []
    for task in tasks if len(predictions) else ():
        of_task = predictions[predictions["task"] == task.task]
        for (model, site), part in of_task.groupby(
            ["model", of_task["scan_id"].map(sites)], sort=False
        ):
            found = subgroup_row(task, part, config, seed)
            rows.append(found | {"model": model, "group": GROUP, "level": site})
    return pd.DataFrame(rows)
