"""The options that say where many scans are prepared, for how long, under which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class ManyScans:
    """How a batch is worked through; none of it changes a voxel.

    Parameters
    ----------
    workers
        Processes side by side; as many as cores and memory allow where not given. 0 works in the
        command's own process.
    dask
        Have the workers of a dask cluster do it: address or file of its scheduler.
    scan_minutes
        Give up a scan that takes longer; 0 for no limit. Without effect with --workers 0.
    layout
        Names of the results: BIDS derivatives, or TurboPrep's with a table scans.csv.
    verify
        Read finished results again, and do damaged ones once more.
    """

    workers: Annotated[int | None, Parameter(name=["--workers", "-j"])] = None
    dask: str | None = None
    scan_minutes: float = 60
    layout: Literal["bids", "turboprep"] = "bids"
    verify: Annotated[bool, Parameter(negative="")] = False

    def worker_count(self) -> int:
        """How many processes of this machine work.

        Raises:
            ConfigError: they are asked for beside a cluster.
        """
        from neurofm.errors import ConfigError
        from neurofm.preprocess.workers import suggested_workers

        if self.dask is not None and self.workers is not None:
            raise ConfigError("a dask cluster has its own workers", "leave --workers out")
        return suggested_workers() if self.workers is None else self.workers
