"""The compiled views equal the torch path and MONAI, and leave out the same views."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from neurofm.augment.cpu_views import draw_stored
from neurofm.augment.draws import ViewDraw, ViewKey, draw_for, draw_view
from neurofm.augment.scanner import draw_scanner
from neurofm.augment.views import apply_views
from neurofm.config.learning import ViewsConfig
from neurofm.config.recipe import load_recipe
from neurofm.config.scanner import ScannerConfig
from neurofm.data.loader import StoredScan
from neurofm.data.prepare import zscore_in_mask_
from neurofm.seeds import random_stream
from neurofm.store.quantise import quantise

SHAPE = (25, 32, 32)
PLAIN = ViewDraw((0, 0, 0), SHAPE, False, None, 0.0, None)
DRAWS = {
    "nothing": PLAIN,
    "crop": replace(PLAIN, crop_start=(3, 5, 2), crop_size=(11, 9, 28)),
    "flip": replace(PLAIN, flip=True, crop_start=(1, 1, 1), crop_size=(23, 30, 29)),
    "rotation": replace(PLAIN, rotation_radians=0.6),
    "negative rotation": replace(PLAIN, rotation_radians=-0.31),
    "shift": replace(PLAIN, shift=0.4),
    "low contrast": replace(PLAIN, gamma=0.5),
    "high contrast": replace(PLAIN, gamma=1.5),
    "extreme contrast": replace(PLAIN, gamma=6.0),
    "one voxel deep and wide": replace(PLAIN, crop_start=(12, 3, 16), crop_size=(1, 20, 1)),
    "everything": ViewDraw((3, 5, 2), (17, 20, 28), True, 0.7, -0.3, 1.45),
}
View = tuple[Tensor, Tensor]


def stored(image: np.ndarray, inside: np.ndarray) -> StoredScan:
    codes, bits = quantise(image), np.packbits(inside)
    codes.stored.flags.writeable = bits.flags.writeable = False  # as in a store
    return StoredScan(codes.stored, bits, codes.offset, codes.step)


def stored_and_decoded(volumes: View) -> tuple[StoredScan, View]:
    scan = stored(volumes[0][0, 0].numpy(), volumes[1][0, 0].numpy())
    decoded = scan.codes.astype(np.float32) * np.float32(scan.step) + np.float32(scan.offset)
    return scan, (torch.from_numpy(decoded)[None, None], volumes[1])


def compiled(scan: StoredScan, draw: ViewDraw) -> tuple[np.ndarray, np.ndarray, bool]:
    image = np.full(scan.codes.shape, np.nan, np.float32)
    mask = np.empty(scan.codes.shape, np.bool_)
    return image, mask, draw_stored(scan, draw, image, mask)


def rms(ours: np.ndarray, theirs: View, inside: np.ndarray) -> float:
    """Root mean square difference of z-scored images inside the brain."""
    other = zscore_in_mask_(theirs[0].clone(), torch.from_numpy(inside)[None, None])[0, 0]
    return float(np.sqrt(np.mean((ours - other.numpy())[inside].astype(np.float64) ** 2)))


@pytest.mark.parametrize("name", DRAWS)
def test_a_compiled_view_equals_the_torch_path(name, small):
    scan, decoded = stored_and_decoded(small)
    image, mask, usable = compiled(scan, DRAWS[name])
    theirs = apply_views(*decoded, [DRAWS[name]])
    assert usable
    assert np.array_equal(mask, theirs[1][0, 0].numpy())
    assert rms(image, theirs, mask) < 3e-5
    assert not image[~mask].any()


@pytest.mark.parametrize("number", range(6))
def test_a_compiled_view_of_another_scanner_equals_the_torch_path(number, small):
    config = load_recipe("simclr-anatomy").views
    scan, decoded = stored_and_decoded(small)
    draw = draw_for(ViewKey(0, number, "c/1", number % 2), config, SHAPE, 6.0)
    always = ScannerConfig(
        contrast_probability=1.0,
        bias_field_probability=1.0,
        resolution_probability=1.0,
        noise_probability=1.0,
        max_slice_mm=20.0,
    )
    draw = replace(draw, scanner=draw_scanner(random_stream("test", number), always, 6.0))
    image, mask, usable = compiled(scan, draw)
    theirs = apply_views(*decoded, [draw])
    assert usable
    assert np.array_equal(mask, theirs[1][0, 0].numpy())
    assert rms(image, theirs, mask) < 1e-4
    unchanged, _, _ = compiled(scan, replace(draw, scanner=None))
    assert rms(unchanged, theirs, mask) > 0.01


@pytest.mark.parametrize("seed", range(25))
def test_a_drawn_compiled_view_equals_monais_chain(seed, small, monai_chain):
    draw = draw_view(random_stream("test", seed), ViewsConfig(), SHAPE, 6.0)
    scan, decoded = stored_and_decoded(small)
    image, mask, usable = compiled(scan, draw)
    theirs = monai_chain(*decoded, draw)
    assert np.array_equal(mask, theirs[1][0, 0].numpy())
    assert usable == mask.any()
    if usable:
        assert rms(image, theirs, mask) < 1e-4


@pytest.mark.slow
def test_full_size_views_of_both_ways_equal_monais_chain(large, monai_chain):
    """200 of them: benchmarks/bench_views.py."""
    scan, decoded = stored_and_decoded(large)
    errors: dict[str, list[float]] = {"compiled": [], "torch": []}
    moved_differently = dict.fromkeys(errors, 0)
    for seed in range(40):
        draw = draw_view(random_stream("large", seed), ViewsConfig(), (150, 192, 192), 1.0)
        theirs = monai_chain(*decoded, draw)
        image, mask, _ = compiled(scan, draw)
        by_torch, moved = apply_views(*decoded, [draw])
        both = {"compiled": (image, mask)}
        both["torch"] = (zscore_in_mask_(by_torch, moved)[0, 0].numpy(), moved[0, 0].numpy())
        for way, (ours, inside) in both.items():
            moved_differently[way] += int((inside != theirs[1][0, 0].numpy()).sum())
            errors[way].append(rms(ours, theirs, inside))
    for way, found in errors.items():
        assert np.median(found) < 1e-3
        assert max(found) < 2e-2
        assert moved_differently[way] <= 1e-5 * 40 * 150 * 192 * 192


def test_grids_whose_slices_fill_no_whole_bytes_are_right():
    rng = np.random.default_rng(0)
    image, inside = rng.normal(size=(5, 7, 9)).astype(np.float32), rng.random((5, 7, 9)) < 0.5
    scan, decoded = stored_and_decoded(
        (torch.from_numpy(image)[None, None], torch.from_numpy(inside)[None, None])
    )
    draw = ViewDraw((1, 0, 2), (4, 6, 5), True, -0.4, 0.0, 0.8)
    ours, mask, _ = compiled(scan, draw)
    theirs = apply_views(*decoded, [draw])
    assert np.array_equal(mask, theirs[1][0, 0].numpy())
    assert rms(ours, theirs, mask) < 1e-4


@pytest.mark.parametrize("full", [7, 25, 32, 150, 192])
def test_the_nearest_voxel_is_torchs_for_every_size_of_box(full):
    for size in range(1, full + 1):
        # the mask of a box `size` deep whose slices are inside at random
        inside = np.random.default_rng(size).random(full) < 0.5
        inside[0] = True
        scan = stored(np.zeros((full, 1, 1), np.float32), inside[:, None, None])
        _, mask, _ = compiled(scan, ViewDraw((0, 0, 0), (size, 1, 1), False, None, 0.0, None))
        box = torch.from_numpy(inside[:size].astype(np.float32))[None, None]
        expected = functional.interpolate(box, size=full, mode="nearest")[0, 0].numpy() > 0
        assert np.array_equal(mask[:, 0, 0], expected)


def test_a_bright_image_with_little_contrast_keeps_its_precision():
    rng = np.random.default_rng(0)
    image = rng.normal(30000, 5, SHAPE).astype(np.float32)
    inside = rng.random(SHAPE) < 0.4
    image[~inside] = 0
    ours, mask, usable = compiled(stored(image, inside), PLAIN)
    values = image[inside].astype(np.float64)
    expected = (values - values.mean()) / values.std()
    assert usable
    # levels are 0.46 apart: rounding to them costs up to 0.23 / 5 of a standard deviation
    assert np.abs(ours[mask] - expected).max() < 0.06
    assert abs(float(ours[mask].astype(np.float64).mean())) < 1e-4
    assert float(ours[mask].astype(np.float64).std()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("gamma", [None, 0.7])
@pytest.mark.parametrize(
    "fault", ["empty mask", "one intensity", "one bright intensity", "nought", "nan"]
)
def test_a_view_that_cannot_be_normalised_is_not_usable(fault, gamma, small):
    image, inside = (part[0, 0].numpy().copy() for part in small)
    if fault == "empty mask":
        inside[:] = False
    intensity = {"one intensity": 7.0, "one bright intensity": 3.3e6, "nought": 0.0}.get(fault)
    if intensity is not None:
        image[inside] = intensity
    scan = stored(image, inside)
    if fault == "nan":
        scan = replace(scan, offset=float("nan"))
    assert not compiled(scan, replace(PLAIN, gamma=gamma))[2]


def test_a_flat_image_is_not_usable_whatever_the_geometry():
    scan = stored(np.full(SHAPE, 30000.7, np.float32), np.ones(SHAPE, np.bool_))
    for draw in DRAWS.values():
        assert not compiled(scan, draw)[2]


def test_compiled_code_loads_where_no_folder_can_keep_it(tmp_path):
    surroundings = dict(os.environ)
    surroundings["NUMBA_CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"
    surroundings["NUMBA_CACHE_DIR"] = "/dev/null/nowhere"
    load = "import neurofm.augment.cpu_kernel as kernel; print(type(kernel.move_mask).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", load], env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Dispatcher" in done.stdout
