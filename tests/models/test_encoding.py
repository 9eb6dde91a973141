"""Features of batches are those of one forward pass each, z-scored, in evaluation mode."""

from __future__ import annotations

import numpy as np
import torch

from neurofm.config.encoders import ResNetConfig
from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask
from neurofm.models.encoder import build_encoder
from neurofm.models.encoding import encode


def _batch(seed: int, size: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = 5 + torch.randn(size, 1, 12, 16, 16, generator=generator)
    masks = images > 4
    return Batch(images, masks, tuple(range(size)), tuple("abcd"[:size]), 0)


def test_features_do_not_depend_on_the_batches_and_come_in_order() -> None:
    encoder = build_encoder(ResNetConfig(widths=(4, 8, 8, 16))).train()
    batches = [_batch(1, 3), _batch(2, 2)]
    features = encode(encoder, batches)
    assert features.shape == (5, 16)
    assert features.dtype == np.float32
    assert not encoder.training
    scans = [(batch, row) for batch in batches for row in range(len(batch))]
    for position, (batch, row) in enumerate(scans):
        one = zscore_in_mask(batch.images[row : row + 1], batch.masks[row : row + 1])
        with torch.no_grad():
            expected = encoder(one)[0].numpy()
        np.testing.assert_allclose(features[position], expected, rtol=1e-4, atol=1e-5)


def test_brightness_and_contrast_of_a_scan_do_not_matter() -> None:
    encoder = build_encoder(ResNetConfig(widths=(4, 8, 8, 16)))
    batch = _batch(1, 2)
    other = Batch(30 * batch.images + 100, batch.masks, batch.rows, batch.items, 0)
    first, second = encode(encoder, [batch]), encode(encoder, [other])
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4)


def test_a_gpu_rounds_no_factor_of_a_convolution_and_the_setting_comes_back() -> None:
    """TF32 would make features depend on machine and batch; torch allows it unless told."""
    seen: list[bool] = []

    class Noting(torch.nn.Module):
        def forward(self, volumes: torch.Tensor) -> torch.Tensor:
            seen.append(torch.backends.cudnn.allow_tf32)
            return volumes.flatten(1)[:, :2]

    before = torch.backends.cudnn.allow_tf32
    encode(Noting(), [_batch(1, 2)])
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == before
