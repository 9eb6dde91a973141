"""Brain extraction by deepbet (Fisch et al. 2024), inside this process and on one thread."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neurofm.errors import MissingDependencyError, ScanError
from neurofm.volumes.volume import Volume

if TYPE_CHECKING:
    from deepbet import BrainExtraction


def deepbet_mask(scan: Volume) -> npt.NDArray[np.bool_]:
    """The brain in a T1-weighted scan in RAS+ order, on the scan's grid.

    Raises:
        ScanError: there is no brain in it.
        MissingDependencyError: deepbet is not installed.
    """
    network = deepbet_network()
    try:
        with _one_torch_thread():
            probability = network.run_model(np.array(scan.array, dtype=np.float32, order="C"))
        return np.asarray(network.postprocess(probability > 0.5)).astype(bool)
    except (AssertionError, ValueError, RuntimeError):
        # deepbet asserts or fails on an empty array where it sees no brain at all.
        raise ScanError(
            "no brain was found in it", "look at the scan; is it a T1 of a head?", kind="no-brain"
        ) from None


def require_deepbet() -> None:
    """Raise a `MissingDependencyError` where deepbet is not installed."""
    if find_spec("deepbet") is None:
        raise MissingDependencyError(
            "brain extraction of whole heads needs deepbet", "pip install 'neurofm[prepare]'"
        )


@lru_cache(maxsize=1)
def deepbet_network() -> BrainExtraction:
    """The networks that find the brain, read once.

    Raises:
        MissingDependencyError: deepbet is not installed.
    """
    require_deepbet()
    from deepbet import BrainExtraction

    with warnings.catch_warnings():
        # deepbet's networks are TorchScript files, which torch reads but calls a thing of the past.
        warnings.filterwarnings("ignore", "`torch.jit.load` is")
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
