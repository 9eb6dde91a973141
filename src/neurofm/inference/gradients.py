"""Integrated gradients by captum: each voxel's share of a number (Sundararajan et al. 2017)."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from neurofm.errors import MissingDependencyError
from neurofm.progress import Progress


def require_captum() -> None:
    """See that the library that integrates is there.

    Raises:
        MissingDependencyError: it is not; says how to install it.
    """
    if find_spec("captum") is None:
        raise MissingDependencyError(
            "needs captum", "pip install 'neurofm[explain]', or say --method occlusion",
            "--method gradients",
        )  # fmt: skip


def integrated_gradients(
    readout: nn.Module, volume: Tensor, steps: int, progress: Progress, what: str = "Integrating"
) -> npt.NDArray[np.float32]:
    """Each voxel times the mean gradient on the straight way from an empty volume to the scan.

    The empty volume is 0, the brain's mean, everywhere. With steps enough, the voxels add up to the
    number of the scan less that of the empty volume. Steps go one at a time (Gauss-Legendre).

    Args:
        readout: (1, 1, depth, height, width) to (1, 1).
        volume: z-scored in the brain, 0 outside.
        steps: gradients that are taken.
        progress: told about every step.
        what: the work, in words.

    Returns:
        (z, y, x); 0 where the volume is.

    Raises:
        MissingDependencyError: captum is not installed.
    """
    require_captum()
    from captum.attr import IntegratedGradients

    progress.start(what, steps, "steps")
    way = IntegratedGradients(_Counted(readout, progress))
    found: Tensor = way.attribute(volume, baselines=0.0, n_steps=steps, internal_batch_size=1)
    progress.finish()
    return np.asarray(found[0, 0].detach().cpu().numpy(), dtype=np.float32)


class _Counted(nn.Module):
    """A readout that tells of each gradient once it comes back."""

    def __init__(self, readout: nn.Module, progress: Progress) -> None:
        super().__init__()
        self._readout, self._progress = readout, progress

    def forward(self, volumes: Tensor) -> Tensor:
        """The number of each volume."""
        # the volume's gradient is the last to come
        volumes.register_hook(lambda _: self._progress.advance())  # type: ignore[no-untyped-call]
        number: Tensor = self._readout(volumes)
        return number
