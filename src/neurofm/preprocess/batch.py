"""Many scans: what is finished is kept, what fails is listed, the rest is worked on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurofm.cohorts.failures import Failure, write_failures
from neurofm.cohorts.index import check_index, write_index
from neurofm.config import PreprocessConfig
from neurofm.errors import ContractError
from neurofm.files import only_writer, sha256_of, sweep_unfinished
from neurofm.preprocess.back_ends import require_back_ends
from neurofm.preprocess.contract import (
    FILE_NAME,
    contract_of,
    difference_of,
    read_contract,
    write_contract,
)
from neurofm.preprocess.naming import OutputNames, cohort_folder, output_names
from neurofm.preprocess.outputs import Plan, describe_dataset, finished_summary
from neurofm.preprocess.workers import Outcome, Task, quality_failure, run_tasks
from neurofm.progress import Progress, SilentProgress


@dataclass(frozen=True)
class BatchResult:
    """What one call of `preprocess_index` did.

    Attributes:
        finished: scans prepared now, including those whose verdict is "fail".
        reused: scans an earlier run had prepared from the same file in the same way.
        failures: scans without a usable result, in the order of the index.
    """

    finished: int
    reused: int
    failures: tuple[Failure, ...]


def preprocess_index(
    frame: pd.DataFrame,
    folder: Path,
    config: PreprocessConfig,
    workers: int = 1,
    progress: Progress | None = None,
) -> BatchResult:
    """Prepare every scan of an index into a folder of BIDS derivatives.

    The same command continues an interrupted run. The folder receives, beside one folder for each
    cohort, `preprocessing.json` (the contract), `index.parquet` (the rows of finished scans with
    the paths of their results, tissue volumes and verdict) and, if need be, `failures.csv`.

    Args:
        frame: an index.
        folder: the derivatives.
        config: the recipe's `preprocess` section.
        workers: processes; 0 works in this one. The results do not depend on it.
        progress: told about every scan.

    Raises:
        TableError: the frame is no index, or two scans would have the same output names.
        ContractError: the folder holds scans of another contract.
        MissingDependencyError: a back-end of the settings is not installed.
        RunError: another process writes to the folder, or it cannot be written to.
    """
    check_index(frame, "index")
    require_back_ends(config)
    frame = frame.reset_index(drop=True)
    names = output_names(frame)
    plan = Plan(folder, config, contract_of(config))
    with only_writer(folder):
        _claim(plan)
        for cohort in frame["cohort"].unique():
            describe_dataset(folder / cohort_folder(cohort), cohort)
        tasks = [
            _task(row, number, names[number], plan)
            for number, row in enumerate(frame.to_dict("records"))
        ]
        outcomes = _earlier_outcomes(tasks)
        reused = len(outcomes)
        _work([task for task in tasks if task.row not in outcomes], outcomes, workers, progress)
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
    write_contract(folder, contract)


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


def _earlier_outcomes(tasks: Sequence[Task]) -> dict[int, Outcome]:
    """The outcomes of scans that are finished already, from the same file by the same contract."""
    outcomes = {}
    for task in tasks:
        # Only where there is a sidecar is it worth the while to read the whole scan.
        if not (task.plan.folder / task.names.sidecar).is_file() or not task.path.is_file():
            continue
        sha256 = task.sha256 or sha256_of(task.path)
        summary = finished_summary(task.plan, task.names, sha256, task.mask_path)
        if summary is not None:
            outcomes[task.row] = Outcome(task.row, summary, quality_failure(task, summary))
    return outcomes


def _work(
    tasks: Sequence[Task], outcomes: dict[int, Outcome], workers: int, progress: Progress | None
) -> None:
    progress = progress or SilentProgress()
    total = len(tasks) + len(outcomes)
    progress.start("preprocessing", total, "scan", done=len(outcomes))
    failed = sum(outcome.failure is not None for outcome in outcomes.values())
    try:
        for outcome in run_tasks(tasks, min(workers, len(tasks))):
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
    write_index(finished, plan.folder / "index.parquet")
    failures = tuple(
        outcome.failure for _, outcome in sorted(outcomes.items()) if outcome.failure is not None
    )
    write_failures(failures, plan.folder / "failures.csv")
    return BatchResult(len(rows) - reused, reused, failures)
