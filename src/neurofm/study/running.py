"""Carry a study out: its cells side by side, its probes, then the tables of them all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.cohorts.failures import Failure, write_failures
from neurofm.cohorts.task_roles import TRAIN
from neurofm.config.study import StudyConfig
from neurofm.errors import RunError
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.saved_tables import write_tables
from neurofm.evaluation.subgroups import scans_table
from neurofm.evaluation.testing import task_record
from neurofm.files import only_writer, read_json, sweep_unfinished, write_json
from neurofm.models.embeddings import write_embeddings
from neurofm.models.weights_record import weights_record
from neurofm.preprocess.jobs import RunJobs
from neurofm.preprocess.workers import run_tasks
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store
from neurofm.study.cell_work import is_done, work_on
from neurofm.study.cells import (
    CELL,
    Cell,
    CellOutcome,
    cell_folder,
    cell_recipe,
    trained_places,
)
from neurofm.study.cells import PREDICTIONS as CELL_PREDICTIONS
from neurofm.study.divided import keep_parts, parts_fingerprint
from neurofm.study.opened import Allowed, OpenedStudy, open_study
from neurofm.study.probes import Encoding, probe_rows
from neurofm.study.record import (
    FAILURES,
    LEFT_OUT,
    PREDICTIONS,
    SCANS,
    StudyRecord,
    embeddings_file,
    write_study,
)
from neurofm.study.scored import Counted, count_scored
from neurofm.study.site_probes import left_out_rows, site_rows
from neurofm.study.tabulating import derive_study
from neurofm.versions import software_record

_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Machinery:
    """Where the cells of a study are worked on; nothing here changes a number.

    Attributes:
        workers: processes side by side; 0 works in this one.
        cluster: a dask scheduler's address or file; its workers do the work instead.
        cell_minutes: a cell at work for longer is given up; 0 for no limit.
        device: where to train and encode, as in `choose_device`.
    """

    workers: int = 1
    cluster: str | None = None
    cell_minutes: float = 0.0
    device: str = "auto"


def run_study(  # noqa: PLR0917 - what, of what, with what, where to, how
    study: StudyConfig,
    store: Store,
    weights: Mapping[str, Path],
    folder: Path,
    machinery: Machinery,
    progress: Progress | None = None,
    *,
    allowed: Allowed = Allowed(),  # noqa: B008 - frozen
) -> tuple[StudyRecord, tuple[Failure, ...]]:
    """Train and test every cell of a study; finished cells of an earlier call are kept.

    The folder receives `parts.parquet`, `cells/` (a run and its predictions each), `features/`,
    `predictions.parquet`, `left_out_sites.parquet`, the tables that follow from them,
    `failures.csv` where a cell failed and, last, `study.json`.

    Args:
        study: what is to be done.
        store: the scans.
        weights: folder of each pre-training that the models name.
        folder: new, or of the same study and scans.
        machinery: where the cells are worked on.
        progress: shown cells, scans and probes.
        allowed: what is gone on with although results suffer.

    Returns:
        the record, and the failures of cells.

    Raises:
        ConfigError, ContractError, LeakageError, WeightsError: see `open_study`.
        RunError: the folder is another study's, or divided otherwise, or the cluster is lost.
        RunStoppedError: a signal came; the same call goes on.
    """
    progress = progress or SilentProgress()
    opened = open_study(study, store, weights, allowed)
    with only_writer(folder):
        sweep_unfinished(folder)
        _claim(opened, folder)
        keep_parts(opened, folder)
        cells = _cells(opened, folder, machinery, allowed)
        failures = _work(cells, folder, machinery, progress)
        encoding = Encoding(opened, folder / "features", machinery.device, progress)
        finished = [cell for cell in cells if is_done(cell)]
        for name, run in opened.encoders.items():
            write_embeddings(
                folder / embeddings_file(name), opened.frame, encoding.of(run),
                run.card.weights_sha256, store.contract.fingerprint(),
            )  # fmt: skip
        return _conclude(encoding, finished, failures, folder), failures


def _claim(opened: OpenedStudy, folder: Path) -> None:
    """Refuse a folder of other scans; of another study only what differs is done again."""
    path, claim = folder / _SETTINGS, {"store": opened.store.content}
    if path.is_file() and read_json(path) != claim:
        raise RunError("holds a study of other scans", "choose another -o", folder)
    write_json(path, claim)


def _cells(opened: OpenedStudy, folder: Path, machinery: Machinery, allowed: Allowed) -> list[Cell]:
    cells = []
    for task, model, place in trained_places(opened.study):
        run = opened.encoders[model.encoder] if model.encoder is not None else None
        people = opened.tasks[task.name, place.fraction].target_of(TRAIN).num_participants
        cells.append(
            Cell(
                place=place,
                recipe=cell_recipe(opened.study, task, model, place, people),
                store=opened.store.folder.absolute(),
                content=opened.store.content,
                weights=run.folder.absolute() if run else None,
                weights_sha256=run.card.weights_sha256 if run else None,
                folder=(folder / cell_folder(place)).absolute(),
                device=machinery.device,
                allow_overlap=allowed.overlap,
                allow_other_contract=allowed.other_contract,
            )
        )
    return cells


def _work(
    cells: Sequence[Cell], folder: Path, machinery: Machinery, progress: Progress
) -> tuple[Failure, ...]:
    waiting = [cell for cell in cells if not is_done(cell)]
    failures: list[Failure] = []
    progress.start("Training", len(cells), "cells", done=len(cells) - len(waiting))
    try:
        with _jobs(machinery, folder, waiting) as run, contextlib.closing(run(waiting)) as done:
            for outcome in done:
                if outcome.failure is not None:
                    failures.append(outcome.failure)
                failed = f"; {len(failures)} failed" if failures else ""
                progress.advance(note=f"{outcome.place}{failed}")
    finally:
        progress.finish()
        write_failures(failures, folder / FAILURES)
    return tuple(failures)


@contextlib.contextmanager
def _jobs(
    machinery: Machinery, folder: Path, waiting: Sequence[Cell]
) -> Iterator[RunJobs[Cell, CellOutcome]]:
    """Yield what does cells: processes of this machine, or of a cluster that was found fit."""
    if machinery.cluster is None or not waiting:
        workers = min(machinery.workers, len(waiting))
        yield lambda cells: run_tasks(cells, workers, machinery.cell_minutes, work_on)
        return
    from neurofm.preprocess.cluster import workers_at

    seen = [folder, *{cell.store / "store.json" for cell in waiting[:1]}]
    with workers_at(machinery.cluster, seen, machinery.cell_minutes, work_on) as run:
        yield run


def _in_order(predictions: pd.DataFrame, study: StudyConfig) -> pd.DataFrame:
    """Tasks and models as the study has them, baselines last."""
    names = {
        "task": [task.name for task in study.tasks],
        "model": [model.name for model in study.models],
    }

    def place(column: pd.Series) -> pd.Series:
        known = names[str(column.name)]
        return column.map({name: at for at, name in enumerate(known)}).fillna(len(known))

    return predictions.sort_values(list(names), key=place, kind="stable", ignore_index=True)


def _predictions(cell: Cell) -> pd.DataFrame:
    return pd.read_parquet(cell.folder / CELL_PREDICTIONS)


def _conclude(
    encoding: Encoding, finished: Sequence[Cell], failures: Sequence[Failure], folder: Path
) -> StudyRecord:
    opened, scans = encoding.opened, scans_table(encoding.opened.frame)
    tables = [*map(_predictions, finished), probe_rows(encoding), site_rows(encoding)]
    predictions = _in_order(pd.concat([each for each in tables if len(each)]), opened.study)
    left_out = left_out_rows(encoding)
    counted = count_scored(opened, tuple(_task_records(opened)), predictions, finished, folder)
    derived = derive_study(predictions, scans, left_out, counted.tasks, opened.study)
    saved = {PREDICTIONS: predictions, SCANS: scans, LEFT_OUT: left_out}
    write_tables(folder, {**saved, **derived.tables})
    record = _record(opened, counted, finished, failures, counted.warnings + derived.warnings)
    write_study(folder, record)
    return record


def _record(
    opened: OpenedStudy,
    counted: Counted,
    finished: Sequence[Cell],
    failures: Sequence[Failure],
    warnings: tuple[str, ...],
) -> StudyRecord:
    seconds = [read_json(cell.folder / CELL)["seconds"] for cell in finished]
    cohorts, store = opened.frame.groupby("cohort"), opened.store
    return StudyRecord(
        study=opened.study,
        tasks=counted.tasks,
        encoders=tuple(
            weights_record(run.card, run.model, opened.seen[name])
            for name, run in opened.encoders.items()
        ),
        contract_fingerprint=store.contract.fingerprint(),
        data_fingerprint=opened.data,
        spacing_mm=store.spacing_mm,
        scans_by_cohort={str(name): len(rows) for name, rows in cohorts},
        participants_by_cohort={
            str(name): int(rows["participant_id"].nunique()) for name, rows in cohorts
        },
        cells=len(finished) + len(failures),
        failed=tuple(failure.participant for failure in failures),
        seconds_of_cells=round(sum(seconds), 1),
        warnings=opened.warnings + warnings,
        software=software_record(),
        preprocessing=store.contract.in_words(),
        scored_by=counted.scored_by,
        parts_fingerprint=parts_fingerprint(opened),
    )


def _task_records(opened: OpenedStudy) -> Iterator[TaskRecord]:
    for task in opened.study.tasks:
        yield task_record(opened.whole(task)).model_copy(update={"task": task.name})
    if opened.site is not None:
        yield task_record(opened.site)
