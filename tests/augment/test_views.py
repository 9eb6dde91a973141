"""Views equal MONAI's own transforms, and depend on nothing but their stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from neurofm.augment.draws import ViewDraw, draw_view
from neurofm.augment.views import adjust_contrast_, apply_views, make_views
from neurofm.config.learning import ViewsConfig
from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask
from neurofm.errors import ScanError
from neurofm.seeds import random_stream

PLAIN = ViewDraw((0, 0, 0), (25, 32, 32), False, None, 0.0, None)
DRAWS = {
    "nothing": PLAIN,
    "crop": replace(PLAIN, crop_start=(3, 5, 2), crop_size=(11, 9, 28)),
    "flip": replace(PLAIN, flip=True),
    "rotation": replace(PLAIN, rotation_radians=0.6),
    "negative rotation": replace(PLAIN, rotation_radians=-0.31),
    "shift": replace(PLAIN, shift=0.4),
    "contrast": replace(PLAIN, gamma=0.55),
    "everything": ViewDraw((3, 5, 2), (17, 20, 28), True, 0.7, -0.3, 1.45),
}


def z_difference(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> float:
    """Largest difference of z-scored images, both with our mask."""
    mine, other = (zscore_in_mask(image, ours[1]) for image in (ours[0], theirs[0]))
    return float((mine - other).abs().max())


@pytest.mark.parametrize("name", DRAWS)
def test_each_transform_equals_monais(name, small, monai_chain):
    ours = apply_views(*small, [DRAWS[name]])
    theirs = monai_chain(*small, DRAWS[name])
    assert torch.equal(ours[1], theirs[1])
    assert z_difference(ours, theirs) < 1e-4
    assert torch.allclose(ours[0], theirs[0], atol=2e-4)


@pytest.mark.parametrize("seed", range(12))
def test_a_drawn_view_equals_monais_chain(seed, small, monai_chain):
    draw = draw_view(random_stream("test", seed), ViewsConfig(), (25, 32, 32), 6.0)
    ours = apply_views(*small, [draw])
    theirs = monai_chain(*small, draw)
    assert torch.equal(ours[1], theirs[1])
    if ours[1].any():
        assert z_difference(ours, theirs) < 1e-4


@pytest.mark.slow
def test_a_full_size_view_equals_monais_chain(large, monai_chain):
    draw = ViewDraw((30, 41, 17), (83, 101, 140), True, 0.7, 0.2, 0.6)
    ours = apply_views(*large, [draw])
    theirs = monai_chain(*large, draw)
    # MONAI computes places in float32, we the mask's in float64: a voxel whose place falls on the
    # border between two voxels may go either way.
    assert int((ours[1] != theirs[1]).sum()) <= 5
    assert z_difference(ours, theirs) < 2e-4


def test_the_inputs_of_a_view_stay_as_they_are(small):
    image, mask = small[0].clone(), small[1].clone()
    for draw in DRAWS.values():
        apply_views(*small, [draw])
    assert torch.equal(image, small[0])
    assert torch.equal(mask, small[1])


def test_a_batch_of_views_equals_views_of_single_scans(small):
    images, masks = (torch.cat([part, part.flip(2)]) for part in small)
    draws = [DRAWS["everything"], DRAWS["crop"]]
    together = apply_views(images, masks, draws)
    for i, draw in enumerate(draws):
        alone = apply_views(images[i : i + 1], masks[i : i + 1], [draw])
        assert torch.equal(together[0][i], alone[0][0])
        assert torch.equal(together[1][i], alone[1][0])


def test_contrast_is_the_plain_formula(small):
    image = small[0]
    low, span = image.min(), image.max() - image.min()
    plain = ((image - low) / (span + 1e-7)) ** 1.37 * span + low
    assert torch.allclose(adjust_contrast_(image.clone(), [1.37]), plain, atol=1e-5)


def test_a_shift_leaves_no_trace_after_contrast_and_z_score(small):
    draw = DRAWS["contrast"]
    still = apply_views(*small, [draw])
    shifted = apply_views(*small, [replace(draw, shift=0.5)])
    assert z_difference(still, shifted) < 1e-4


def batch_of(image: Tensor, mask: Tensor, items: tuple[str, ...], epoch: int = 0) -> Batch:
    count = len(items)
    rows = tuple(range(count))
    return Batch(
        image.repeat(count, 1, 1, 1, 1), mask.repeat(count, 1, 1, 1, 1), rows, items, epoch
    )


def test_a_view_is_z_scored_inside_the_mask_and_zero_outside(small):
    views = make_views(batch_of(*small, ("a/1", "a/2")), ViewsConfig(), 0, 0, 6.0)
    for image, mask in zip(views.images, views.masks, strict=True):
        inside = image[mask].double()
        assert abs(float(inside.mean())) < 1e-4
        assert abs(float(inside.std(correction=0)) - 1) < 1e-4
        assert not image[~mask].any()


def test_a_view_under_autocast_is_the_same_view(small):
    batch = batch_of(*small, ("a/1", "a/2", "a/3"))
    with torch.autocast("cpu", torch.bfloat16):
        cast = make_views(batch, ViewsConfig(), 0, 0, 6.0)
    assert cast.images.dtype == torch.float32
    assert torch.equal(cast.images, make_views(batch, ViewsConfig(), 0, 0, 6.0).images)


def test_a_view_depends_on_participant_epoch_view_and_seed_only(small):
    config = ViewsConfig()
    first = make_views(batch_of(*small, ("a/1", "a/2"), 3), config, 5, 0, 6.0)
    other_company = make_views(batch_of(*small, ("z/9", "a/1"), 3), config, 5, 0, 6.0)
    assert torch.equal(first.images[0], other_company.images[1])
    for changed in (
        make_views(batch_of(*small, ("a/1",), 4), config, 5, 0, 6.0),
        make_views(batch_of(*small, ("a/1",), 3), config, 6, 0, 6.0),
        make_views(batch_of(*small, ("a/1",), 3), config, 5, 1, 6.0),
        make_views(batch_of(*small, ("a/2",), 3), config, 5, 0, 6.0),
    ):
        assert not torch.equal(first.images[0], changed.images[0])


def test_a_view_without_brain_is_drawn_again(small):
    image, mask = small[0], torch.zeros_like(small[1])
    mask[..., 12:14, 16:18, 16:18] = True  # most small crops miss it
    config = ViewsConfig(min_crop_mm=(6.0, 6.0, 6.0), max_redraws=60)
    items = tuple(f"a/{number}" for number in range(8))
    first_draws = [
        draw_view(random_stream("view", 0, 0, item, 0, 0), config, (25, 32, 32), 6.0)
        for item in items
    ]
    first_masks = apply_views(*(t.repeat(8, 1, 1, 1, 1) for t in (image, mask)), first_draws)[1]
    assert not all(m.any() for m in first_masks), "the test needs an empty first draw"
    views = make_views(batch_of(image, mask, items), config, 0, 0, 6.0)
    assert all(m.any() for m in views.masks)


@pytest.mark.parametrize("fault", ["empty mask", "nan", "constant"])
def test_a_scan_without_usable_view_is_named(fault, small):
    image, mask = small[0].clone(), small[1].clone()
    if fault == "empty mask":
        mask[:] = False
    else:
        image[:] = float("nan") if fault == "nan" else 7.0
    images, masks = torch.cat([small[0], image]), torch.cat([small[1], mask])
    batch = Batch(images, masks, (0, 1), ("ixi/012", "ixi/013"), 0)
    with pytest.raises(ScanError, match="ixi/013"):
        make_views(batch, ViewsConfig(max_redraws=2), 0, 0, 6.0)
