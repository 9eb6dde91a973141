"""WhiteStripe: intensities in units of normal-appearing white matter (Shinohara et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from neurofm.errors import ScanError

# Half the width of the stripe, as a share of the voxels (tau in the paper).
STRIPE_HALF_WIDTH = 0.05
# The brightest voxels are left out of the search for the mode: vessels, fat, noise.
TAIL_PERCENTILE = 96.0
# Where the density is looked at: the mode is one of so many places between darkest and brightest,
# as in the package `intensity-normalization` 3, whose results these are.
MODE_PLACES = 80
# Values are counted in so many bins before the kernels are summed; the error is far below 1e-5.
_BINS = 16_384


@dataclass(frozen=True)
class Stripe:
    """What one unit and zero of the normalised image mean, in the scan's own intensities."""

    mode: float
    mean: float
    deviation: float

    def apply(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The image with the stripe's mean at zero and its standard deviation at one."""
        return np.asarray((image - np.float32(self.mean)) / np.float32(self.deviation))

    @property
    def background(self) -> float:
        """Where an intensity of zero comes to lie."""
        return -self.mean / self.deviation


def find_stripe(values: npt.NDArray[np.float32]) -> Stripe:
    """Find the white stripe of a T1: the voxels around the brightest mode of the histogram.

    Args:
        values: intensities of the brain, in any order, bias-corrected.

    Raises:
        ScanError: the histogram has no mode, or the stripe no spread.
    """
    mode = white_matter_mode(values)
    at_mode = float((values < mode).mean())
    low, high = np.quantile(
        values.astype(np.float64),
        (max(at_mode - STRIPE_HALF_WIDTH, 0), min(at_mode + STRIPE_HALF_WIDTH, 1)),
    )
    stripe = values[(values > low) & (values < high)].astype(np.float64)
    if stripe.size < 10 or stripe.std() <= 0:
        raise ScanError(
            "its white matter has a single intensity", "look at the scan", kind="normalisation"
        )
    return Stripe(mode, float(stripe.mean()), float(stripe.std()))


def white_matter_mode(values: npt.NDArray[np.float32]) -> float:
    """The brightest mode of the kernel density estimate of the values without their tail."""
    kept = values[values <= np.percentile(values, TAIL_PERCENTILE)].astype(np.float64)
    if not kept.min() < kept.max():
        raise ScanError("its brain has no contrast", "look at the scan", kind="normalisation")
    places = np.linspace(kept.min(), kept.max(), MODE_PLACES)
    density = _density(kept, places)
    (maxima,) = signal.argrelmax(density)
    return float(places[maxima[-1] if maxima.size else density.argmax()])


def _density(
    values: npt.NDArray[np.float64], places: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """A Gaussian kernel density estimate, up to a factor, with the bandwidth of Scott (1992)."""
    bandwidth = values.std(ddof=1) * values.size ** (-1 / 5)
    at = (values - places[0]) * ((_BINS - 1) / (places[-1] - places[0]))
    below = np.minimum(at.astype(np.int64), _BINS - 2)
    share = at - below
    counts = np.bincount(below, 1 - share, _BINS) + np.bincount(below + 1, share, _BINS)
    centres = np.linspace(places[0], places[-1], _BINS)
    kernels = np.exp(-0.5 * ((places[:, None] - centres) / bandwidth) ** 2)
    # einsum, because a threaded matrix product depends on the number of threads.
    return np.asarray(np.einsum("pb,b->p", kernels, counts))
