"""All maps of one encoder's embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofm.reports.embedding_map import Panel, embedding_map
from neurofm.reports.umap_map import umap_map, why_no_umap


@dataclass(frozen=True)
class Maps:
    """What an encoder's features look like on two axes.

    Attributes:
        components: by the first two principal components.
        umap: by UMAP; none where there is a note.
        note: why there is no UMAP, and how to get it.
    """

    components: tuple[Panel, ...]
    umap: tuple[Panel, ...]
    note: str


def maps_of(
    labels: pd.DataFrame,
    embeddings: npt.NDArray[np.float64],
    targets: Sequence[str],
    name: str = "map",
) -> Maps:
    """The maps of the embeddings of some scans; see `embedding_map`."""
    return Maps(
        embedding_map(labels, embeddings, targets, name),
        umap_map(labels, embeddings, targets, f"{name}-umap"),
        why_no_umap(len(embeddings)),
    )
