"""The headline metric in parts of the people: by sex, by age, by site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import SITE_TASK, site_labels
from neurofm.evaluation.metrics import METRICS
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.scoring import Sample, Score, sample_of, score

_FEWEST = 10  # participants of a subgroup
_FEWEST_OF_A_CLASS = 5
_BAND_YEARS = 20
# By target: a subgroup by what is predicted would have one class only.
_SAME = {"sex": "sex", "cohort": "site", SITE_TASK: "site"}


def scans_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What subgroups are made of: participant, scan, sex, age and site of the evaluated scans.

    Args:
        frame: index rows.
    """
    nothing = pd.Series(None, index=frame.index, dtype=object)
    ages = pd.to_numeric(frame.get("age_years", nothing), errors="coerce")
    return pd.DataFrame(
        {
            "participant": participant_keys(frame).astype(str),
            "scan_id": frame["scan_id"],
            "sex": frame.get("sex", nothing),
            "age_years": ages.astype(np.float64),
            "site": site_labels(frame),
        }
    ).reset_index(drop=True)


def subgroup_table(
    predictions: pd.DataFrame,
    scans: pd.DataFrame,
    tasks: Sequence[TaskRecord],
    config: EvaluationConfig,
    seed: int,
    *,
    models: Sequence[str],
    targets: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The first metric of each task in each subgroup, with its interval.

    Nothing here is tested or corrected for: with many subgroups some differ by chance. One with
    fewer than 10 participants, or fewer than 5 of a class, has a reason in place of a number.

    Args:
        predictions: the table of `predictions.parquet`.
        scans: see `scans_table`.
        tasks: the tasks of the predictions.
        config: resamples and confidence.
        seed: the recipe's.
        models: rows of the tables that are looked at.
        targets: the index column that a task predicts, where it is not called so.

    Returns:
        `task`, `model`, `group`, `level`, `metric`, `better`, `value`, `low`, `high`, `interval`,
        `participants`, `positives` and `note`, the reason.
    """
    labels = _labels(scans)
    rows: list[dict[str, object]] = []
    for task in tasks:
        groups = [name for name in labels if _SAME.get(_target(task, targets)) != name]
        for model in models:
            chosen = (predictions["task"] == task.task) & (predictions["model"] == model)
            for group, level, part in _parts(predictions[chosen], labels[groups]):
                rows.append(subgroup_row(task, part, config, seed) | {
                    "model": model, "group": group, "level": level,
                })  # fmt: skip
    return pd.DataFrame(rows)


def confounding_warnings(
    predictions: pd.DataFrame,
    scans: pd.DataFrame,
    tasks: Sequence[TaskRecord],
    targets: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """A line for each classification whose label follows from the site alone.

    Args:
        predictions: the table of `predictions.parquet`.
        scans: see `scans_table`.
        tasks: the tasks of the predictions.
        targets: see `subgroup_table`.
    """
    sites = scans.set_index("scan_id")["site"]
    found = []
    for task in tasks:
        rows = predictions[predictions["task"] == task.task].drop_duplicates("scan_id")
        is_site = _SAME.get(_target(task, targets)) == "site"
        if task.kind == "regression" or is_site or rows.empty:
            continue
        classes = rows["target"].groupby(rows["scan_id"].map(sites)).nunique()
        if len(classes) > 1 and (classes == 1).all() and rows["target"].nunique() > 1:
            found.append(
                f"{task.task}: every one of {len(classes)} sites has people of one class only, so "
                "the label follows from the site: no result of this task is about the brain."
            )
    return tuple(found)


def subgroup_row(
    task: TaskRecord, part: pd.DataFrame, config: EvaluationConfig, seed: int
) -> dict[str, object]:
    """The first metric of a task in one part of its people, for one model; or why not."""
    metric, sample = METRICS[task.kind][0], sample_of(part, task.kind)
    reason = _why_none(sample, task)
    found = None if reason else score(sample, metric, task, config, seed)
    return {
        "task": task.task,
        "metric": metric.name,
        "better": metric.better,
        **_numbers(found),
        "participants": len(np.unique(sample.people)),
        "positives": sample.people_of(1) if task.kind == "binary" else None,
        "note": reason or (found.note if found else ""),
    }


def _target(task: TaskRecord, targets: Mapping[str, str] | None) -> str:
    return (targets or {}).get(task.task, task.task)


def _labels(scans: pd.DataFrame) -> pd.DataFrame:
    """The level of each scan in each grouping, by scan; None where it is unknown."""
    start = scans["age_years"] // _BAND_YEARS * _BAND_YEARS
    bands = [
        None if np.isnan(year) else f"{year:.0f} to {year + _BAND_YEARS - 1:.0f} years"
        for year in start
    ]
    return pd.DataFrame(
        {"sex": scans["sex"].to_numpy(), "age": bands, "site": scans["site"].to_numpy()},
        index=pd.Index(scans["scan_id"], name="scan_id"),
    )


def _parts(of_model: pd.DataFrame, labels: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Every level of every grouping that divides these scans."""
    for group in labels:
        level = of_model["scan_id"].map(labels[group])
        names = sorted(level.dropna().unique(), key=str)
        if len(names) > 1:
            for name in names:
                yield str(group), str(name), of_model[level == name]


def _numbers(found: Score | None) -> dict[str, object]:
    if found is None:
        return {"value": np.nan, "low": np.nan, "high": np.nan, "interval": "none"}
    low, high = found.interval.low, found.interval.high
    return {"value": found.value, "low": low, "high": high, "interval": found.method}


def _why_none(sample: Sample, task: TaskRecord) -> str:
    people = len(np.unique(sample.people))
    if people < _FEWEST:
        return f"only {people} participants, fewer than {_FEWEST}"
    if task.kind == "regression":
        return ""
    for place, name in enumerate(task.classes):
        count = sample.people_of(place)
        if count < _FEWEST_OF_A_CLASS:
            return f"only {count} participants are {name}, fewer than {_FEWEST_OF_A_CLASS}"
    return ""
