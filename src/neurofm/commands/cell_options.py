"""The options that say where the cells of a study are worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from neurofm.study.running import Machinery


@Parameter(name="*")
@dataclass(frozen=True)
class CellOptions:
    """Where a study's cells are worked on; only the number of threads can change last digits.

    Parameters
    ----------
    workers
        Cells of a study trained side by side; one a core where there is no GPU.
    dask
        A dask cluster trains a study's cells: address or file of its scheduler.
    device
        Where a study trains: auto, cpu, cuda or cuda:1.
    """

    workers: Annotated[int | None, Parameter(name=["--workers", "-j"])] = None
    dask: str | None = None
    device: str = "auto"

    def machinery(self) -> Machinery:
        """Where cells are worked on.

        Raises:
            ConfigError: processes are asked for beside a cluster, or there is no such device.
        """
        from neurofm.errors import ConfigError
        from neurofm.preprocess.workers import suggested_workers
        from neurofm.study.running import Machinery
        from neurofm.training.device import choose_device

        workers = self.workers
        if self.dask is not None and workers is not None:
            raise ConfigError("a dask cluster has its own workers", "leave --workers out")
        if workers is None:
            workers = suggested_workers() if choose_device(self.device).type == "cpu" else 1
        return Machinery(workers, self.dask, device=self.device)
