"""The mean image of a store's scans, against a plain mean."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch

from neurofm.config.preparation import StoreConfig
from neurofm.data.loader import ScanLoader
from neurofm.data.mean_image import mean_image
from neurofm.data.prepare import zscore_in_mask
from neurofm.store.packing import pack
from neurofm.store.reader import open_store


def test_the_mean_image_is_the_mean_of_the_z_scored_scans(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    pack(fake.write(tmp_path / "derivatives", 5), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    store = open_store(tmp_path / "store")
    (batch,) = ScanLoader(store).batches([[4, 1, 3]])
    expected = zscore_in_mask(batch.images, batch.masks).double().mean(dim=0, keepdim=True)
    found = mean_image(store, [1, 3, 4])
    assert found.shape == (1, 1, *store.shape)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-6)
    one = zscore_in_mask(batch.images[1:2], batch.masks[1:2])
    torch.testing.assert_close(mean_image(store, [1]), one, rtol=1e-5, atol=1e-6)
