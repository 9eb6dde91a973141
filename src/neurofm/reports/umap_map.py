"""The embedding map by UMAP, beside that of the principal components, for whoever has installed it.

Source: McInnes et al. 2018 (arXiv:1802.03426). Distances between islands mean little in it.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofm.reports.embedding_map import Panel, panels_of, standardised

_NEIGHBOURS = 15
_MIN_DISTANCE = 0.1
_FEWEST = 2 * _NEIGHBOURS
_AXES = ("UMAP 1", "UMAP 2")


def why_no_umap(scans: int) -> str:
    """What a page says where there is no such map; empty where there is one.

    Args:
        scans: with an embedding.
    """
    if scans < _FEWEST:
        return f"A UMAP needs {_FEWEST} scans."
    if importlib.util.find_spec("umap") is None:
        return "For a UMAP beside it: pip install 'neurofm[umap]', then neurofm report."
    return ""


def umap_map(
    labels: pd.DataFrame,
    embeddings: npt.NDArray[np.float64],
    targets: Sequence[str] = (),
    name: str = "umap",
) -> tuple[Panel, ...]:
    """Panels as those of `embedding_map`; none where `why_no_umap` has a reason.

    Args:
        labels: a row a scan; what is not known is left out.
        embeddings: "scans features", rows as in `labels`.
        targets: further columns.
        name: unlike that of another map on the page.
    """
    if why_no_umap(len(embeddings)):
        return ()
    return panels_of(labels, _places(embeddings), targets, name=name, axes=_AXES)


def _places(embeddings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with warnings.catch_warnings():
        # It tells everybody without TensorFlow that a part of it, which we do not use, is missing.
        warnings.simplefilter("ignore", ImportWarning)
        import umap

    # One thread and a fixed state: the same map each time.
    mapper = umap.UMAP(
        n_neighbors=_NEIGHBOURS, min_dist=_MIN_DISTANCE, random_state=0, n_jobs=1
    )  # fmt: skip
    return np.asarray(mapper.fit_transform(standardised(embeddings)), dtype=np.float64)
