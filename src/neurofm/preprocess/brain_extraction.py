"""Where the brain is: the user's mask, a scan that comes stripped, or a back-end on a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurofm.errors import ScanError
from neurofm.preprocess.deepbet import deepbet_mask
from neurofm.preprocess.outside_brain import HD_BET, SYNTHSTRIP, outside_mask
from neurofm.preprocess.stripped import stripped_brain
from neurofm.volumes.volume import Volume

BackEnd = Literal["deepbet", "synthstrip", "hd-bet"]
BrainSource = Literal["given", "already-stripped", "deepbet", "synthstrip", "hd-bet"]


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain mask on the scan's own grid, and where it came from."""

    mask: Volume
    source: BrainSource


def find_brain(scan: Volume, given: Volume | None = None, back_end: BackEnd = "deepbet") -> Brain:
    """Find the brain in a T1-weighted scan in RAS+ order.

    A given mask is used as it is; a scan that was stripped before is kept as it is; any other
    scan goes through the back-end.

    Raises:
        ScanError: the mask lies on another grid or is empty, or no brain was found.
        MissingDependencyError: the back-end is not installed.
    """
    if given is not None:
        _require_same_grid(scan, given)
        return Brain(Volume(given.array.astype(bool), scan.affine), "given")
    stripped = stripped_brain(scan)
    if stripped is not None:
        return Brain(Volume(stripped, scan.affine), "already-stripped")
    if back_end == "deepbet":
        return Brain(Volume(deepbet_mask(scan), scan.affine), back_end)
    program = SYNTHSTRIP if back_end == "synthstrip" else HD_BET
    return Brain(Volume(outside_mask(scan, program), scan.affine), back_end)


def _require_same_grid(scan: Volume, mask: Volume) -> None:
    if mask.shape != scan.shape:
        raise ScanError(
            f"the brain mask has {mask.shape} voxels, the scan {scan.shape}",
            "give a mask on the scan's own grid",
            kind="mask-grid",
        )
    if not np.allclose(mask.affine, scan.affine, atol=1e-2):
        raise ScanError(
            "the brain mask lies elsewhere than the scan (their affines differ)",
            "give a mask on the scan's own grid",
            kind="mask-grid",
        )
    if not mask.array.any():
        raise ScanError("the brain mask is empty", "give another mask, or none", kind="empty-mask")
