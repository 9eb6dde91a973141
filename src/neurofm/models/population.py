"""How far a scan's embedding lies from those of the training participants, and how unusual that is.

What is kept of them is a mean, a spread in all directions and sorted distances: nobody's row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

FEWEST_PARTICIPANTS = 20  # of fewer, a mean and a spread would tell much of each
_PREFIX = "population."
_LEAST_SHRINKAGE = 1e-6
_NO_SPREAD = 1e-12  # of the mean square: all embeddings are one


@dataclass(frozen=True, eq=False)
class Population:
    """The spread of training embeddings.

    Attributes:
        centre: their mean.
        whitening: brings a distance from the centre to units of their spread.
        distances: of participants from the centre of others, sorted; see `fit_population` and
            `judged_by`.
    """

    centre: Float[np.ndarray, " features"]
    whitening: Float[np.ndarray, "features features"]
    distances: Float[np.ndarray, " participants"]

    def distances_of(
        self, embeddings: Float[np.ndarray, "scans features"]
    ) -> Float[np.ndarray, " scans"]:
        """Mahalanobis distances from the centre; NaN of NaN."""
        moved = embeddings.astype(np.float64) - self.centre
        return np.asarray(np.linalg.norm(moved @ self.whitening, axis=1))

    def percentiles_of(self, distances: Float[np.ndarray, " scans"]) -> Float[np.ndarray, " scans"]:
        """How many in a hundred training participants are nearer to the others; NaN of NaN.

        Of n participants it is 100 n / (n + 1) at most: rarer than one in n + 1 cannot be told.
        """
        nearer = np.searchsorted(self.distances, distances)
        percentiles = 100 * nearer / (len(self.distances) + 1)
        return np.where(np.isfinite(distances), percentiles, np.nan)


def judged_by(
    population: Population | None, unlearnt: Float[np.ndarray, "participants features"]
) -> Population | None:
    """The population with the distances of people whom nothing was learnt from, one row each.

    Learning labels moves the embeddings of those who were learnt from, away from where anybody
    new would be. Fewer than `FEWEST_PARTICIPANTS` leave it as it is.
    """
    rows = unlearnt[np.isfinite(unlearnt).all(axis=1)]
    if population is None or len(rows) < FEWEST_PARTICIPANTS:
        return population
    return replace(population, distances=np.sort(population.distances_of(rows)))


def fit_population(embeddings: Float[np.ndarray, "participants features"]) -> Population | None:
    """The spread of some embeddings, one a participant; fewer of them than features are enough.

    The covariance is shrunk towards a ball (Ledoit and Wolf 2004). Each participant's distance is
    from the others alone, or all would seem nearer than anybody new: mean and covariance are
    freed of it by the matrix inversion lemma, and the shrinkage is held.

    Returns:
        None for fewer than `FEWEST_PARTICIPANTS`, or where all embeddings are the same.
    """
    rows = embeddings[np.isfinite(embeddings).all(axis=1)].astype(np.float64)
    count = len(rows)
    if count < FEWEST_PARTICIPANTS:
        return None
    centre = rows.mean(axis=0)
    centred = rows - centre
    if np.square(centred).mean() <= _NO_SPREAD * np.square(rows).mean():
        return None
    covariance = centred.T @ centred / count
    kept, ball = _shrinkage(centred, covariance)
    values, axes = np.linalg.eigh(covariance)
    values = values.clip(min=0)
    whitening = (axes / np.sqrt(kept * values + ball)) @ axes.T
    larger = kept * count / (count - 1)  # the covariance of the others is larger by so much ...
    plain = np.square(centred @ axes) @ (1 / (larger * values + ball))
    without = plain / (1 - larger / (count - 1) * plain)  # ... and lacks this direction
    distances = np.sort(count / (count - 1) * np.sqrt(without))
    return Population(centre, whitening, distances)


def population_tensors(population: Population | None) -> dict[str, Tensor]:
    """A population as it is saved among the tensors of its weights."""
    if population is None:
        return {}
    arrays = vars(population).items()
    return {
        f"{_PREFIX}{name}": torch.from_numpy(array.astype(np.float32)) for name, array in arrays
    }


def population_in(state: Mapping[str, Tensor]) -> Population | None:
    """The population among the tensors of weights; None where they have none."""
    if f"{_PREFIX}distances" not in state:
        return None
    names = ("centre", "whitening", "distances")
    return Population(*(state[_PREFIX + name].numpy().astype(np.float64) for name in names))


def _shrinkage(
    centred: Float[np.ndarray, "participants features"],
    covariance: Float[np.ndarray, "features features"],
) -> tuple[float, float]:
    """How much of the covariance is kept, and what is added to its diagonal.

    Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
    section 3.3; the same as scikit-learn's, which the extra `train` lacks.
    """
    count, features = centred.shape
    variance = float(np.trace(covariance)) / features
    apart = float(np.square(covariance).sum()) / features - variance**2
    noise = float(np.square(np.square(centred).sum(axis=1)).sum()) / count
    noise = (noise - float(np.square(covariance).sum())) / (features * count)
    shrinkage = min(1.0, noise / apart) if apart > 0 else 1.0
    shrinkage = max(shrinkage, _LEAST_SHRINKAGE)
    return 1 - shrinkage, shrinkage * variance
