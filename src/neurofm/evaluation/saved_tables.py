"""The tables that follow from predictions: computed, written, and computed again when asked."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from neurofm.config.learning import EvaluationConfig
from neurofm.errors import RunError
from neurofm.evaluation.left_out_sites import left_out_table
from neurofm.evaluation.record import (
    CALIBRATION,
    COMPARISONS,
    LEFT_OUT,
    PREDICTIONS,
    RESULTS,
    SCANS,
    SUBGROUPS,
    TaskRecord,
    read_record,
)
from neurofm.evaluation.results import tabulate
from neurofm.evaluation.subgroups import confounding_warnings, subgroup_table
from neurofm.files import write_bytes


@dataclass(frozen=True, eq=False)
class Derived:
    """What predictions alone decide.

    Attributes:
        tables: each by the name of its file.
        warnings: what a reader must know before the numbers.
    """

    tables: Mapping[str, pd.DataFrame]
    warnings: tuple[str, ...]


def derive(  # noqa: PLR0917 - what was said of whom, and how it is judged
    predictions: pd.DataFrame,
    scans: pd.DataFrame | None,
    left_out: pd.DataFrame,
    tasks: Sequence[TaskRecord],
    config: EvaluationConfig,
    seed: int,
    *,
    models: Sequence[str],
    ours: str,
    targets: Mapping[str, str] | None = None,
) -> Derived:
    """Results, comparisons, calibration and subgroups of an evaluation.

    Args:
        predictions: the table of `predictions.parquet`.
        scans: of `scans.parquet`; None, where an earlier version wrote none, gives no subgroups.
        left_out: of `left_out_sites.parquet`.
        tasks: the tasks of the predictions.
        config: resamples and confidence.
        seed: the recipe's.
        models: those given, whose subgroups are looked at.
        ours: the model that all others are compared with.
        targets: the index column that a task predicts, where it is not called so.
    """
    # Small problems: several threads only wait for each other, and move last digits.
    with threadpool_limits(1):
        found = tabulate(predictions, tasks, config, seed, ours)
        tables = {
            RESULTS: found.results,
            COMPARISONS: found.comparisons,
            CALIBRATION: found.calibration,
        }
        if scans is None:
            return Derived(tables, found.warnings)
        parts = subgroup_table(
            predictions, scans, tasks, config, seed, models=models, targets=targets
        )
        by_site = left_out_table(left_out, scans, tasks, config, seed)
    tables[SUBGROUPS] = pd.concat([parts, by_site], ignore_index=True)
    confounded = confounding_warnings(predictions, scans, tasks, targets)
    return Derived(tables, confounded + found.warnings)


def rebuild_evaluation(folder: Path) -> tuple[str, ...]:
    """Compute the tables of a finished evaluation again from its predictions.

    Returns:
        the files that were missing or said something else, and are written now.

    Raises:
        RunError: the folder is no finished evaluation, or its predictions are damaged.
    """
    record = read_record(folder)
    has_scans, has_left_out = ((folder / name).is_file() for name in (SCANS, LEFT_OUT))
    derived = derive(
        read_table(folder / PREDICTIONS),
        read_table(folder / SCANS) if has_scans else None,
        read_table(folder / LEFT_OUT) if has_left_out else pd.DataFrame(),
        record.tasks, record.recipe.evaluation, record.recipe.seed,
        models=record.models, ours=record.models[0],
    )  # fmt: skip
    return write_tables(folder, derived.tables)


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """Write tables by the names of their files; one that says the same already is left alone.

    Returns:
        the files that were written.
    """
    written = []
    for name, table in tables.items():
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        path = folder / name
        if not path.is_file() or path.read_bytes() != buffer.getvalue():
            write_bytes(path, buffer.getvalue())
            written.append(name)
    return tuple(written)


def read_table(path: Path) -> pd.DataFrame:
    """A table of a finished evaluation or study.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot be read ({error})", "evaluate again", path) from None
