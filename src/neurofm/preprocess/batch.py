"""Many scans: what is finished is kept, what fails is listed, the rest is worked on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurofm.cohorts.failures import Failure, write_failures
from neurofm.cohorts.index import check_index, write_index
from neurofm.config import PreprocessConfig
from neurofm.errors import ContractError
from neurofm.files import only_writer, require_room, sha256_of, sweep_unfinished
from neurofm.preprocess.back_ends import require_back_ends
from neurofm.preprocess.contract import (
    FILE_NAME,
    contract_of,
    difference_of,
    read_contract,
    write_contract,
)
from neurofm.preprocess.layout import (
    FAILURES_FILE,
    INDEX_FILE,
    claim_layout,
    describe_layout,
    write_table,
)
from neurofm.preprocess.naming import Layout, OutputNames, output_names
from neurofm.preprocess.outputs import FILES_PER_SCAN, Plan, estimated_bytes, finished_summary
from neurofm.preprocess.tasks import Outcome, Task, finished_outcome, prepare_and_write
from neurofm.preprocess.workers import DEFAULT_SCAN_MINUTES, run_tasks
from neurofm.progress import Progress, SilentProgress

RunTasks = Callable[[Sequence[Task]], Generator[Outcome, None, None]]


@dataclass(frozen=True)
class BatchResult:
    """What one call of `preprocess_index` did.

    Attributes:
        finished: scans prepared now, including those whose verdict is "fail".
        reused: scans an earlier run had prepared from the same file in the same way.
        failures: scans without a usable result, in the order of the index.
        notes: what the user should know of the course of the work.
    """

    finished: int
    reused: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()


def preprocess_index(
    frame: pd.DataFrame,
    folder: Path,
    config: PreprocessConfig,
    workers: int = 1,
    progress: Progress | None = None,
    *,
    cluster: str | None = None,
    scan_minutes: float = DEFAULT_SCAN_MINUTES,
    layout: Layout = "bids",
    verify: bool = False,
) -> BatchResult:
    """Prepare every scan of an index into a folder of derivatives.

    The same command continues an interrupted run. The folder receives, beside one folder for each
    cohort, `preprocessing.json` (the contract), `index.parquet` (the rows of finished scans with
    the paths of their results, tissue volumes and verdict) and, if need be, `failures.csv`.

    Args:
        frame: an index.
        folder: the derivatives.
        config: the recipe's `preprocess` section.
        workers: processes; 0 works in this one. The results do not depend on it.
        progress: told about every scan.
        cluster: a dask scheduler's address or file; its workers do the work instead.
        scan_minutes: a scan that takes longer is given up; 0 for no limit, and without effect
            where this process does the work.
        layout: the names of the results; see `output_names`.
        verify: read finished results and compare their checksums, not only their sizes.

    Raises:
        TableError: the frame is no index, or two scans would have the same output names.
        ContractError: the folder holds scans of another contract.
        MissingDependencyError: a back-end of the settings, or dask, is not installed.
        RunError: another process writes to the folder, it cannot be written to, has too little
            room or another layout; or the cluster cannot be used.
    """
    check_index(frame, "index")
    require_back_ends(config)
    frame = frame.reset_index(drop=True)
    names = output_names(frame, layout)
    plan = Plan(folder.absolute(), config, contract_of(config), layout)
    tasks = [
        _task(row, number, names[number], plan)
        for number, row in enumerate(frame.to_dict("records"))
    ]
    with only_writer(folder):
        _claim(plan)
        with _machinery(cluster, workers, plan.folder, tasks, scan_minutes) as run:
            describe_layout(folder, layout, sorted(set(frame["cohort"])))
            outcomes = _earlier_outcomes(tasks, verify)
            reused = len(outcomes)
            waiting = [task for task in tasks if task.row not in outcomes]
            _require_room_for(waiting, plan)
            _work(run, waiting, outcomes, progress or SilentProgress())
        return _conclude(frame, plan, names, outcomes, reused)


def _claim(plan: Plan) -> None:
    folder, contract = plan.folder, plan.contract
    if (folder / FILE_NAME).is_file():
        difference = difference_of(contract, read_contract(folder))
        if difference:
            raise ContractError(
                f"holds scans that were preprocessed in another way: {difference}",
                "choose another -o",
                folder,
            )
    sweep_unfinished(folder)
    claim_layout(folder, plan.layout)
    write_contract(folder, contract)


@contextlib.contextmanager
def _machinery(
    cluster: str | None, workers: int, folder: Path, tasks: Sequence[Task], scan_minutes: float
) -> Iterator[RunTasks]:
    """Yield what does tasks: processes of this machine, or of a cluster that was found fit."""
    if cluster is None:
        yield lambda waiting: run_tasks(
            waiting, min(workers, len(waiting)), scan_minutes, prepare_and_write
        )
        return
    from neurofm.preprocess.cluster import workers_at

    seen = [folder, *(task.path for task in tasks[:1] if task.path.exists())]
    with workers_at(cluster, seen, scan_minutes, prepare_and_write) as run:
        yield run


def _require_room_for(waiting: Sequence[Task], plan: Plan) -> None:
    count = len(waiting)
    wanted = count * estimated_bytes(plan.contract)
    require_room(plan.folder, wanted, count * FILES_PER_SCAN, f"the results of {count} scans")


def _task(row: dict[Hashable, Any], number: int, names: OutputNames, plan: Plan) -> Task:
    mask, sha256 = row["mask_path"], row["sha256"]
    return Task(
        row=number,
        path=Path(row["path"]),
        mask_path=Path(mask) if isinstance(mask, str) else None,
        participant=f"{row['cohort']}/{row['participant_id']}",
        sha256=sha256 if isinstance(sha256, str) else None,
        names=names,
        plan=plan,
    )


def _earlier_outcomes(tasks: Sequence[Task], verify: bool) -> dict[int, Outcome]:
    """The outcomes of scans that are finished already, from the same file by the same contract."""
    outcomes = {}
    for task in tasks:
        # Only where there is a sidecar is it worth the while to read the whole scan.
        if not (task.plan.folder / task.names.sidecar).is_file() or not task.path.is_file():
            continue
        sha256 = task.sha256 or sha256_of(task.path)
        summary = finished_summary(task.plan, task.names, sha256, task.mask_path, verify)
        if summary is not None:
            outcomes[task.row] = finished_outcome(task, summary)
    return outcomes


def _work(
    run: RunTasks, tasks: Sequence[Task], outcomes: dict[int, Outcome], progress: Progress
) -> None:
    total = len(tasks) + len(outcomes)
    progress.start("preprocessing", total, "scan", done=len(outcomes))
    failed = sum(outcome.failure is not None for outcome in outcomes.values())
    try:
        # Closed at once when something is raised, so that no process works on for nobody.
        with contextlib.closing(run(tasks)) as done:
            for outcome in done:
                outcomes[outcome.row] = outcome
                failed += outcome.failure is not None
                progress.advance(note=f"{failed} failed" if failed else "")
    finally:
        progress.finish()


def _conclude(
    frame: pd.DataFrame,
    plan: Plan,
    names: Sequence[OutputNames],
    outcomes: dict[int, Outcome],
    reused: int,
) -> BatchResult:
    """Write `index.parquet` and `failures.csv` of all outcomes, old and new."""
    found = {row: outcome.summary for row, outcome in sorted(outcomes.items()) if outcome.summary}
    summaries, rows = list(found.values()), list(found)
    finished = frame.iloc[rows].assign(
        image_path=[names[row].image for row in rows],
        brain_mask_path=[names[row].brain_mask for row in rows],
        tissue_path=[names[row].tissue for row in rows],
        csf_ml=[summary.csf_ml for summary in summaries],
        gm_ml=[summary.gm_ml for summary in summaries],
        wm_ml=[summary.wm_ml for summary in summaries],
        brain_ml=[summary.brain_ml for summary in summaries],
        verdict=[summary.verdict for summary in summaries],
        contract=plan.contract.fingerprint(),
        problem=None,
    )
    write_index(finished, plan.folder / INDEX_FILE)
    write_table(plan.folder, plan.layout, finished)
    failures = tuple(
        outcome.failure for _, outcome in sorted(outcomes.items()) if outcome.failure is not None
    )
    write_failures(failures, plan.folder / FAILURES_FILE)
    return BatchResult(len(rows) - reused, reused, failures, _notes(outcomes))


def _notes(outcomes: dict[int, Outcome]) -> tuple[str, ...]:
    deaths = sum(outcome.deaths for outcome in outcomes.values())
    if not deaths:
        return ()
    note = (
        f"{deaths} processes died at work, most likely for lack of memory; their scans were tried "
        "again; fewer --workers would be quicker"
    )
    return (note,)
