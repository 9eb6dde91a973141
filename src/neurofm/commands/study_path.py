"""`neurofm run STUDY`: from scans or phantom cohorts to the page of a study."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from neurofm.commands.console import BarProgress, err


def run_whole_study(
    reference: str, overrides: Sequence[str], sources: Sequence[Path], output: Path, workers: int
) -> int:
    """Prepare the scans, pre-train, carry the study out and write its page.

    Returns:
        the exit status: 1 where a scan or a cell failed.
    """
    from neurofm.commands.study_shown import show_study
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
    return show_study(done.study, done.failures)
