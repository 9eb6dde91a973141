"""Cerebrospinal fluid, grey and white matter: a mixture of three Gaussians with atlas priors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofm.errors import ScanError
from neurofm.preprocess.resampling import crop_around

Floats = npt.NDArray[np.float32]

# Labels of the tissue map.
CSF, GREY, WHITE = 1, 2, 3

_FIT_ROUNDS = 30
_FIT_VOXELS = 100_000


@dataclass(frozen=True)
class Trust:
    """How far atlas and neighbours are believed beside the brightness; see docs/preprocessing.md.

    Attributes:
        atlas_share: of the atlas in the prior; the rest is the same for all, because people differ
            from it.
        neighbour_weight: strength of the agreement asked of the six neighbours.
        neighbour_rounds: how often it is asked.
    """

    atlas_share: float = 0.9
    neighbour_weight: float = 2.0
    neighbour_rounds: int = 2


DEFAULT_TRUST = Trust()


def label_tissue(
    image: Floats, brain: npt.NDArray[np.bool_], priors: Floats, trust: Trust = DEFAULT_TRUST
) -> npt.NDArray[np.uint8]:
    """Label every voxel of the brain as CSF 1, grey matter 2 or white matter 3; 0 elsewhere.

    Three Gaussians are fitted to the intensities by expectation maximisation, weighted by the
    atlas (Ashburner and Friston 2005, without the deformation); then neighbours are made to agree
    by mean-field updates of a Markov random field (Zhang et al. 2001).

    Args:
        image: (x, y, z) bias-corrected T1 intensities.
        brain: (x, y, z) voxels to label.
        priors: (3, x, y, z) atlas probability of CSF, GM and WM.
        trust: in atlas and neighbours.

    Raises:
        ScanError: the three tissues cannot be told apart, as in a scan that is no T1.
    """
    labels = np.zeros(brain.shape, dtype=np.uint8)
    box = crop_around(brain, (1, 1, 1))
    inside = brain[box]
    values = image[box][inside].astype(np.float32)
    atlas = np.stack([prior[box][inside] for prior in priors])
    prior = (trust.atlas_share * atlas + (1 - trust.atlas_share) / 3).astype(np.float32)
    means, deviations = _fit(values, prior)
    evidence = _log_gaussians(values, means, deviations) + np.log(prior)
    labels[box][inside] = _agreed(evidence, inside, trust).argmax(axis=0) + 1
    return labels


def _fit(values: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """Means and standard deviations of CSF, GM and WM, from every n-th voxel."""
    step = max(1, values.size // _FIT_VOXELS)
    values, prior = values[::step], prior[:, ::step]
    low, high = np.percentile(values, (1, 99))
    kept = (values >= low) & (values <= high)
    values, prior = values[kept], prior[:, kept]
    # Ordered starting points keep the classes from changing places.
    means = np.percentile(values, (5, 40, 80)).astype(np.float32)
    deviations = np.full(3, max(float(high - low), 1e-6) / 8, dtype=np.float32)
    smallest = float(deviations[0]) / 10
    for _ in range(_FIT_ROUNDS):
        posterior = _softmax(_log_gaussians(values, means, deviations) + np.log(prior))
        weight = posterior.sum(axis=1) + 1e-6
        # einsum, because a threaded matrix product depends on the number of threads.
        means = np.einsum("kv,v->k", posterior, values) / weight
        spread = (posterior * (values - means[:, None]) ** 2).sum(axis=1) / weight
        deviations = np.maximum(np.sqrt(spread), smallest)
    if not means[0] < means[1] < means[2]:
        raise ScanError(
            "fluid, grey and white matter cannot be told apart by brightness",
            "is it a T1-weighted scan?",
            kind="contrast",
        )
    return means, deviations


def _agreed(evidence: Floats, inside: npt.NDArray[np.bool_], trust: Trust) -> Floats:
    """Class scores after voxels have heard the mean opinion of their six neighbours."""
    scores = evidence
    opinions = np.zeros((3, *inside.shape), dtype=np.float32)
    for _ in range(trust.neighbour_rounds):
        for opinion, posterior in zip(opinions, _softmax(scores), strict=True):
            opinion[inside] = posterior
        heard = np.stack([_mean_of_neighbours(opinion)[inside] for opinion in opinions])
        scores = evidence + trust.neighbour_weight * heard
    return scores


def _mean_of_neighbours(array: Floats) -> Floats:
    total = np.zeros_like(array)
    for axis in range(3):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        total[tuple(low)] += array[tuple(high)]
        total[tuple(high)] += array[tuple(low)]
    return total / np.float32(6)


def _log_gaussians(values: Floats, means: Floats, deviations: Floats) -> Floats:
    distance = (values - means[:, None]) / deviations[:, None]
    return np.asarray(-0.5 * distance * distance - np.log(deviations)[:, None], dtype=np.float32)


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float32)
