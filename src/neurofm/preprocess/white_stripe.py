"""WhiteStripe: intensities in units of normal-appearing white matter (Shinohara et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from neurofm.errors import ScanError

# Half the width of the stripe, as a share of the voxels (tau in the paper).
STRIPE_HALF_WIDTH = 0.05
# The brightest voxels are left out of the search for the mode: vessels, fat, noise.
TAIL_PERCENTILE = 96.0
# The histogram's kernel has a standard deviation of the largest value over this.
_BANDWIDTH_DIVISOR = 80.0
_GRID_POINTS = 1024
_CUT_BANDWIDTHS = 3.0


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
    """The brightest mode of the smoothed histogram, without its tail."""
    kept = values[values <= np.percentile(values, TAIL_PERCENTILE)].astype(np.float64)
    bandwidth = kept.max() / _BANDWIDTH_DIVISOR
    if not bandwidth > 0:
        raise ScanError("its brain is nowhere bright", "look at the scan", kind="normalisation")
    grid, density = _smooth_histogram(kept, bandwidth)
    (maxima,) = signal.argrelmax(density)
    if maxima.size == 0:
        raise ScanError("its histogram has no mode", "look at the scan", kind="normalisation")
    return float(grid[maxima[-1]])


def _smooth_histogram(
    values: npt.NDArray[np.float64], bandwidth: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A Gaussian kernel density estimate, by binning to a fine grid first."""
    margin = _CUT_BANDWIDTHS * bandwidth
    edges = np.linspace(values.min() - margin, values.max() + margin, _GRID_POINTS + 1)
    counts, _ = np.histogram(values, edges)
    width = edges[1] - edges[0]
    density = ndimage.gaussian_filter1d(
        counts.astype(np.float64), bandwidth / width, mode="constant", truncate=6
    )
    return (edges[:-1] + edges[1:]) / 2, density
