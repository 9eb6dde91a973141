"""The mean of many scans, z-scored as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neurofm.data.loader import ScanLoader
from neurofm.data.prepare import zscore_in_mask_
from neurofm.store.reader import Store

ENOUGH_SCANS = 100  # for a good mean; more would only take longer


def mean_image(store: Store, rows: Sequence[int]) -> Float[Tensor, "1 1 depth height width"]:
    """The mean over some rows of a store, at least one, each z-scored inside its mask.

    Added up in float64, so the order of the rows changes nothing that can be seen.

    Raises:
        StoreError: a scan cannot be read; names the scan.
    """
    total = torch.zeros((1, 1, *store.shape), dtype=torch.float64)
    for batch in ScanLoader(store).batches([[row] for row in rows]):
        total += zscore_in_mask_(batch.images, batch.masks)
    return (total / len(rows)).float()
