"""How far scans lie from what weights were trained on, as two columns of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from neurofm.models.population import population_in
from neurofm.models.weights import LoadedWeights

_NO_POPULATION = (
    "No distances: the weights carry no spread of their training embeddings (imported, of an "
    "earlier version, or of too few participants)."
)


def with_distances(
    table: pd.DataFrame,
    features: Sequence[Float[np.ndarray, "scans features"]],
    weights: Sequence[LoadedWeights],
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with `distance` and `distance_percentile`, of several weights their means.

    Args:
        table: a row for each scan.
        features: of each set of weights.
        weights: they themselves.

    Returns:
        the table, its columns empty where weights carry no population, and a note which says so.
    """
    populations = [population_in(each.state) for each in weights]
    distances = np.full((len(weights), len(table)), np.nan)
    percentiles = distances.copy()
    for place, (population, found) in enumerate(zip(populations, features, strict=True)):
        if population is not None:
            distances[place] = population.distances_of(found)
            percentiles[place] = population.percentiles_of(distances[place])
    told = table.assign(
        distance=distances.mean(axis=0), distance_percentile=percentiles.mean(axis=0)
    )
    return told, (_NO_POPULATION,) if None in populations else ()
