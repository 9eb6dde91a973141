"""The mean of many scans, z-scored as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neurofm.data.loader import ScanLoader
from neurofm.data.prepare import zscore_in_mask_
from neurofm.errors import StoreError
from neurofm.store.reader import Store

ENOUGH_SCANS = 100  # for a good mean; more would only take longer


def mean_image(store: Store, rows: Sequence[int]) -> Float[Tensor, "1 1 depth height width"]:
    """The mean over some rows of a store, each z-scored inside its mask.

    Added up in float64, so the order of the rows changes nothing that can be seen. A scan that
    cannot be read is left out.

    Raises:
        StoreError: no scan can be read; says why the last one cannot.
    """
    total, count, reason = torch.zeros((1, 1, *store.shape), dtype=torch.float64), 0, "no row"
    for batch in ScanLoader(store).noted_batches([[row] for row in rows]):
        if batch.bad_scans:
            reason = batch.bad_scans[0].reason
            continue
        total += zscore_in_mask_(batch.images, batch.masks)
        count += 1
    if not count:
        raise StoreError(f"no scan for a mean image can be read ({reason})", "", store.folder)
    return (total / count).float()
