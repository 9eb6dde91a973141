"""The bridge to ANTs: volumes in and out (RAS+ <-> LPS+), one thread, a fixed seed."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from neurofm.errors import MissingDependencyError
from neurofm.volumes.volume import Volume

_SEED = 1
_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


@lru_cache(maxsize=1)
def ants_module() -> ModuleType:
    """The ANTsPy library, held to one thread, because its sums depend on the number of threads.

    Raises:
        MissingDependencyError: ANTsPy is not installed.
    """
    if find_spec("ants") is None:
        raise MissingDependencyError(
            "bias field and registration need ANTsPy", "pip install 'neurofm[prepare]'"
        )
    # ITK reads this once, when it first starts threads.
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    import ants

    # Off, because "on" refuses Mattes mutual information; the seed counts all the same.
    ants.config.set_ants_deterministic(on=False, seed_value=_SEED)
    return ants  # type: ignore[no-any-return]


def to_ants(volume: Volume) -> Any:
    """An ANTs image of a volume."""
    spacing = np.array(volume.spacing_mm)
    return ants_module().from_numpy(
        np.ascontiguousarray(volume.array, dtype=np.float32),
        origin=(_LPS_FROM_RAS @ volume.affine[:3, 3]).tolist(),
        spacing=spacing.tolist(),
        direction=_LPS_FROM_RAS @ (volume.affine[:3, :3] / spacing),
    )


def ras_matrix(transform: Any) -> npt.NDArray[np.float64]:
    """The (4, 4) matrix, RAS+ mm -> RAS+ mm, of an ANTs linear transform (LPS+, with centre)."""
    parameters = np.asarray(transform.parameters, dtype=np.float64)
    centre = np.asarray(transform.fixed_parameters, dtype=np.float64)[:3]
    linear = parameters[:9].reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = _LPS_FROM_RAS @ linear @ _LPS_FROM_RAS
    matrix[:3, 3] = _LPS_FROM_RAS @ (parameters[9:12] + centre - linear @ centre)
    return matrix
