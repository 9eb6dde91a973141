"""The options of the commands that encode scans: where, and how many side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

if TYPE_CHECKING:
    from neurofm.inference.computing import Computing


@Parameter(name="*")
@dataclass(frozen=True)
class EncodingOptions:
    """How scans are worked through; none of it changes a result.

    Parameters
    ----------
    work
        Keep preprocessed scans and features here; the same command then continues.
    workers
        Processes that preprocess scans side by side.
    device
        Where scans are encoded: auto, cpu, cuda or cuda:1.
    batch_size
        Scans encoded at once; where not given, one at 1 mm and more where voxels are larger.
    """

    work: Path | None = None
    workers: int = os.cpu_count() or 1
    device: str = "auto"
    batch_size: int | None = None

    def computing(self) -> Computing:
        """Where to encode, and how many scans at once.

        Raises:
            ConfigError: no such device, or a batch of no scan.
        """
        from neurofm.inference.computing import choose_computing

        return choose_computing(self.device, self.batch_size)


NOTHING_SAID = EncodingOptions()
