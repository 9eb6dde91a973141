"""A command for one scan: its process starts before the command loads its own libraries."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from neurofm.preprocess.workers import process_ahead
from neurofm.volumes.formats import is_nifti_name


def prepared_beside(
    sources: Sequence[Path], workers: int
) -> contextlib.AbstractContextManager[None]:
    """A process at the ready where one scan is given; otherwise nothing.

    Args:
        sources: of the command.
        workers: of the command; 0 works without processes.
    """
    one = len(sources) == 1 and is_nifti_name(sources[0]) and sources[0].is_file()
    if not one or workers < 1:
        return contextlib.nullcontext()
    tasks = "neurofm.preprocess.tasks"
    return process_ahead(f"{tasks}:prepare_and_write", f"{tasks}:load_libraries")
