"""Where the brain is: the user's mask, a scan that comes stripped, or deepbet on a whole head."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.errors import MissingDependencyError, ScanError
from neurofm.preprocess.resampling import crop_around
from neurofm.volumes.volume import Volume

if TYPE_CHECKING:
    from deepbet import BrainExtraction

BrainSource = Literal["given", "already-stripped", "deepbet"]

# What a stripped scan looks like: much exactly constant background around one object of the size
# of a brain, with some dura and skull left perhaps. A whole head, even defaced, has over 3000 mL.
STRIPPED_BACKGROUND_SHARE = 0.3
STRIPPED_BOUNDS_ML = (400.0, 2400.0)


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain mask on the scan's own grid, and where it came from."""

    mask: Volume
    source: BrainSource


def find_brain(scan: Volume, given: Volume | None = None) -> Brain:
    """Find the brain in a T1-weighted scan in RAS+ order.

    A given mask is used as it is; a scan that was stripped before is kept as it is; any other
    scan goes through deepbet (Fisch et al. 2024), which needs the extra `prepare`.

    Raises:
        ScanError: the mask lies on another grid or is empty, or no brain was found.
    """
    if given is not None:
        _require_same_grid(scan, given)
        return Brain(Volume(given.array.astype(bool), scan.affine), "given")
    stripped = stripped_brain(scan)
    if stripped is not None:
        return Brain(Volume(stripped, scan.affine), "already-stripped")
    return Brain(Volume(_extract(scan), scan.affine), "deepbet")


def stripped_brain(scan: Volume) -> npt.NDArray[np.bool_] | None:
    """The brain of a scan that was stripped before, or None where the scan is a whole head."""
    background = _border_value(scan.array)
    foreground = scan.array != background
    if foreground.mean() > 1 - STRIPPED_BACKGROUND_SHARE:
        return None
    low, high = STRIPPED_BOUNDS_ML
    if not low <= foreground.sum() * scan.voxel_ml <= high:
        return None
    box = crop_around(foreground, (1, 1, 1))
    brain = np.zeros_like(foreground)
    brain[box] = ndimage.binary_fill_holes(largest_component(foreground[box]))
    return brain if brain.sum() * scan.voxel_ml >= low else None


def largest_component(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest part of a mask that hangs together through voxel faces."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _border_value(array: npt.NDArray[np.generic]) -> float:
    """The commonest value on the six faces of the array."""
    faces = [np.take(array, index, axis).ravel() for axis in range(3) for index in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    return float(values[counts.argmax()])


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
        raise ScanError("the brain mask is empty", "give another mask, or none", kind="mask-empty")


@lru_cache(maxsize=1)
def _deepbet() -> BrainExtraction:
    if find_spec("deepbet") is None:
        raise MissingDependencyError(
            "brain extraction of whole heads needs deepbet", "pip install 'neurofm[prepare]'"
        )
    from deepbet import BrainExtraction

    with warnings.catch_warnings():
        # deepbet's networks are TorchScript files, which torch reads but calls a thing of the past.
        warnings.filterwarnings("ignore", "`torch.jit.load` is", DeprecationWarning)
        return BrainExtraction(no_gpu=True)


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Sums inside the network depend on the number of threads, and so would the mask's edge."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _extract(scan: Volume) -> npt.NDArray[np.bool_]:
    network = _deepbet()
    try:
        with _one_torch_thread():
            probability = network.run_model(np.array(scan.array, dtype=np.float32, order="C"))
        return np.asarray(network.postprocess(probability > 0.5)).astype(bool)
    except (AssertionError, ValueError, RuntimeError):
        # deepbet asserts or fails on an empty array where it sees no brain at all.
        raise ScanError(
            "no brain was found in it", "look at the scan; is it a T1 of a head?", kind="no-brain"
        ) from None
