"""`neurofm evaluate STUDY`: every cell of a table of models, then the table, figures and page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from neurofm.cohorts.failures import Failure
from neurofm.commands.console import BarProgress, err, out
from neurofm.errors import ConfigError
from neurofm.study.opened import Allowed
from neurofm.study.running import Machinery


def chosen_machinery(workers: int | None, dask: str | None, device: str) -> Machinery:
    """Where cells are worked on: as many processes as cores, or one on a GPU, if not said.

    Raises:
        ConfigError: processes are asked for beside a cluster, or there is no such device.
    """
    from neurofm.preprocess.workers import suggested_workers
    from neurofm.training.device import choose_device

    if dask is not None and workers is not None:
        raise ConfigError("a dask cluster has its own workers", "leave --workers out")
    if workers is None:
        workers = suggested_workers() if choose_device(device).type == "cpu" else 1
    return Machinery(workers, dask, device=device)


def evaluate_study(  # noqa: PLR0917 - the arguments of neurofm evaluate
    reference: str,
    overrides: Sequence[str],
    store: Path,
    weights: Sequence[str],
    output: Path,
    machinery: Machinery,
    allowed: Allowed,
) -> int:
    """Carry a study out and write its page.

    Returns:
        0, or 1 where a cell failed.
    """
    from neurofm.config.study import load_study
    from neurofm.store.reader import open_store
    from neurofm.study.running import run_study
    from neurofm.training.stopping import RunStoppedError

    study = load_study(reference, tuple(overrides))
    try:
        record, failures = run_study(
            study, open_store(store), dict(map(_named, weights)), output, machinery, BarProgress(),
            allowed=allowed,
        )  # fmt: skip
    except RunStoppedError as stopped:
        err.print(str(stopped), markup=False, soft_wrap=True)
        return stopped.exit_status
    _tell_of(failures)
    show_study(output)
    return 1 if record.failed else 0


def run_whole_study(
    reference: str, overrides: Sequence[str], sources: Sequence[Path], output: Path, workers: int
) -> int:
    """Prepare the scans, pre-train, carry the study out and write its page.

    Returns:
        0, or 1 where a scan or a cell failed.
    """
    from neurofm.config.study import load_study
    from neurofm.study_workflow import run_study_path
    from neurofm.training.stopping import RunStoppedError

    study = load_study(reference, tuple(overrides))
    tell = partial(err.print, markup=False, soft_wrap=True)
    try:
        done = run_study_path(study, sources, output, workers, BarProgress(), tell=tell)
    except RunStoppedError as stopped:
        tell(str(stopped))
        return stopped.exit_status
    _tell_of(done.failures)
    show_study(done.study)
    return 1 if done.failures else 0


def _tell_of(failures: Sequence[Failure]) -> None:
    for failure in failures:
        err.print(f"{failure.participant}: {failure.reason}", markup=False, soft_wrap=True)


def show_study(folder: Path) -> None:
    """Write the page, tables and figures of a finished study, and print its table."""
    from neurofm.reports.study_page import write_study_page
    from neurofm.reports.study_table import read_saved_study, table_of, terminal_table

    page = write_study_page(folder)
    saved = read_saved_study(folder)
    tell = partial(out.print, markup=False, soft_wrap=True)
    out.print(terminal_table(table_of(saved)))
    for warning in saved.record.warnings:
        err.print(f"Warning: {warning}", markup=False, soft_wrap=True)
    tell(f"Report: {page.resolve()}")


def _named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not name.strip() or not folder:
        raise ConfigError("is not of the form NAME=FOLDER", "", f"--weights {text}")
    return name.strip(), Path(folder)
