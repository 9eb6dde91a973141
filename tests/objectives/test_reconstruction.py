"""Reconstructions of whole scans: what is pasted where, and what their errors are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from neurofm.config.encoders import ViTConfig
from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe
from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask
from neurofm.objectives.mae import MAE
from neurofm.objectives.reconstruction import reconstruct_scans
from neurofm.training.objective import build_objective

_ENCODER = ViTConfig(width=24, depth=1, heads=3, patch_voxels=(5, 8, 8))


def _mae(seed: int = 0, **knobs: Any) -> MAE:
    config = MAEConfig(decoder_width=18, decoder_depth=1, decoder_heads=3, **knobs)
    objective = build_objective(
        Recipe(name="x", seed=seed, encoder=_ENCODER, objective=config), 6.0
    )
    assert isinstance(objective, MAE)
    return objective.eval()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(5)
    images = 30 + 4 * torch.randn(2, 1, 25, 32, 32, generator=generator)
    masks = torch.zeros(2, 1, 25, 32, 32, dtype=torch.bool)
    masks[:, :, 4:20, 6:25, 7:26] = True
    return Batch(images, masks, (0, 1), ("c/p0", "c/p1"), 0)


def test_visible_patches_are_the_scans_own_and_hidden_ones_are_predicted(batch: Batch) -> None:
    objective = _mae()
    images = zscore_in_mask(batch.images, batch.masks)
    with torch.no_grad():
        made = objective.reconstruct(images, batch.items, 0)
    for row, scan in enumerate(reconstruct_scans(objective, batch)):
        np.testing.assert_array_equal(scan.original, images[row, 0].numpy())
        assert scan.hidden.mean() == 0.75
        visible = ~scan.hidden
        np.testing.assert_array_equal(scan.reconstruction[visible], scan.original[visible])
        assert not scan.error[visible].any()
        for place, number in enumerate(made.masking.masked[row].tolist()):
            z, y, x = number // 16, number // 4 % 4, number % 4
            box = (slice(5 * z, 5 * z + 5), slice(8 * y, 8 * y + 8), slice(8 * x, 8 * x + 8))
            assert scan.hidden[box].all()
            expected = made.predicted[row, place].reshape(5, 8, 8).numpy()
            np.testing.assert_array_equal(scan.reconstruction[box], expected)


@pytest.mark.parametrize("normalise", [False, True])
def test_errors_are_means_over_hidden_voxels_and_over_patches_with_brain(
    batch: Batch, normalise: bool
) -> None:
    mean = torch.full((1, 1, 25, 32, 32), 0.25)
    for scan in reconstruct_scans(_mae(normalise_patches=normalise), batch, mean):
        assert scan.model.all_patches == pytest.approx(np.square(scan.error[scan.hidden]).mean())
        with_brain = np.zeros_like(scan.brain)
        for z, y, x in np.ndindex(5, 4, 4):
            box = (slice(5 * z, 5 * z + 5), slice(8 * y, 8 * y + 8), slice(8 * x, 8 * x + 8))
            with_brain[box] = scan.brain[box].any()
        chosen = scan.hidden & with_brain
        assert scan.model.brain_patches == pytest.approx(np.square(scan.error[chosen]).mean())
        assert scan.mean_image is not None
        off = np.square(0.25 - scan.original)
        assert scan.mean_image.all_patches == pytest.approx(off[scan.hidden].mean(), rel=1e-5)
        assert scan.mean_image.brain_patches == pytest.approx(off[chosen].mean(), rel=1e-5)


def test_a_normalised_prediction_gets_the_mean_and_deviation_of_the_hidden_patch(
    batch: Batch,
) -> None:
    objective = _mae(normalise_patches=True)
    with torch.no_grad():
        for layer in (objective.decoder.predict.weight, objective.decoder.predict.bias):
            layer.zero_()
    (scan, _) = reconstruct_scans(objective, batch)
    for z, y, x in np.ndindex(5, 4, 4):
        box = (slice(5 * z, 5 * z + 5), slice(8 * y, 8 * y + 8), slice(8 * x, 8 * x + 8))
        if scan.hidden[box].all():
            np.testing.assert_allclose(
                scan.reconstruction[box], scan.original[box].mean(), atol=1e-6
            )


def test_the_mask_follows_seed_and_participant_and_not_the_batch(batch: Batch) -> None:
    first, second = reconstruct_scans(_mae(), batch)
    assert not np.array_equal(first.hidden, second.hidden)
    alone = Batch(batch.images[1:], batch.masks[1:], (1,), ("c/p1",), epoch=7, step=12)
    (again,) = reconstruct_scans(_mae(), alone)
    np.testing.assert_array_equal(again.hidden, second.hidden)
    (other,) = reconstruct_scans(_mae(seed=1), alone)
    assert not np.array_equal(other.hidden, second.hidden)


def test_scan_and_weights_and_random_state_stay_as_they_were(batch: Batch) -> None:
    objective = _mae()
    weights = {name: tensor.clone() for name, tensor in objective.state_dict().items()}
    images, state = batch.images.clone(), torch.random.get_rng_state()
    reconstruct_scans(objective, batch)
    assert torch.equal(batch.images, images)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(weights[name], now) for name, now in objective.state_dict().items())


def test_without_brain_among_the_hidden_patches_their_error_is_not_a_number(batch: Batch) -> None:
    empty = replace(batch, masks=torch.zeros_like(batch.masks))
    for scan in reconstruct_scans(_mae(), empty):
        assert np.isnan(scan.model.brain_patches)
        assert np.isfinite(scan.model.all_patches)
