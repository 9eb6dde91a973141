"""`neurofm evaluate STUDY`: every cell of a table of models, on one machine or a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurofm.commands.console import BarProgress, err
from neurofm.commands.weights_reference import folder_of
from neurofm.errors import ConfigError
from neurofm.study.opened import Allowed
from neurofm.study.running import Machinery


def evaluate_study(  # noqa: PLR0917 - the arguments of neurofm evaluate
    reference: str, overrides: Sequence[str], store: Path, weights: Sequence[str], output: Path,
    machinery: Machinery, allowed: Allowed,
) -> int:  # fmt: skip
    """Carry a study out and write its page; the exit status is 1 where a cell failed."""
    from neurofm.commands.study_shown import show_study
    from neurofm.config.study import load_study
    from neurofm.store.reader import open_store
    from neurofm.study.running import run_study
    from neurofm.training.stopping import RunStoppedError

    study, given = load_study(reference, tuple(overrides)), dict(map(_named, weights))
    folders = {name: folder_of(each) for name, each in given.items()}
    progress = BarProgress()
    try:
        _, failures = run_study(
            study, open_store(store), folders, output, machinery, progress, allowed=allowed
        )
    except RunStoppedError as stopped:
        err.print(str(stopped), markup=False, soft_wrap=True)
        return stopped.exit_status
    return show_study(output, failures)


def _named(text: str) -> tuple[str, str]:
    from neurofm.evaluation.given import parse_given

    name, reference = parse_given(text)
    if name is None:
        raise ConfigError("is not of the form NAME=REF", "", f"--weights {text}")
    return name, reference
