"""From a study's predictions to its tables, without the scans or the runs they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from neurofm.config.study import StudyConfig
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.results import tabulate
from neurofm.evaluation.saved_tables import Derived, derive, read_table, write_tables
from neurofm.study.record import LEFT_OUT, PREDICTIONS, RESULTS, SCANS, read_study


def derive_study(
    predictions: pd.DataFrame,
    scans: pd.DataFrame | None,
    left_out: pd.DataFrame,
    tasks: Sequence[TaskRecord],
    study: StudyConfig,
) -> Derived:
    """Results of every share of the training part; all other tables, and warnings, of the whole.

    Args:
        predictions: the table of `predictions.parquet`.
        scans: of `scans.parquet`; None, where an earlier version wrote none, gives no subgroups.
        left_out: of `left_out_sites.parquet`; without columns where nothing was left out.
        tasks: the tasks of the predictions.
        study: its models, shares, seed and settings.
    """
    derived = derive(
        predictions[predictions["fraction"] == 1], scans, left_out, tasks, study.evaluation,
        study.seed, models=[model.name for model in study.models], ours=study.first,
        targets={task.name: task.target for task in study.tasks},
    )  # fmt: skip
    with threadpool_limits(1):
        smaller = {
            fraction: tabulate(
                predictions[predictions["fraction"] == fraction], tasks, study.evaluation,
                study.seed, study.first,
            ).results
            for fraction in study.fractions[:-1]
        }  # fmt: skip
    each = smaller | {study.fractions[-1]: derived.tables[RESULTS]}
    results = [table.assign(fraction=fraction) for fraction, table in each.items()]
    tables = {**derived.tables, RESULTS: pd.concat(results, ignore_index=True)}
    return replace(derived, tables=tables)


def rebuild_study(folder: Path) -> tuple[str, ...]:
    """Compute the tables of a finished study again from its predictions.

    A study by an earlier version has no predictions with one site left out: running it again
    makes them.

    Returns:
        the files that were missing or said something else, and are written now.

    Raises:
        RunError: the folder is no finished study, or its predictions are damaged.
    """
    record = read_study(folder)
    has_scans, has_left_out = ((folder / name).is_file() for name in (SCANS, LEFT_OUT))
    derived = derive_study(
        read_table(folder / PREDICTIONS),
        read_table(folder / SCANS) if has_scans else None,
        read_table(folder / LEFT_OUT) if has_left_out else pd.DataFrame(),
        record.tasks, record.study,
    )  # fmt: skip
    return write_tables(folder, derived.tables)
