"""The paper's supervised views: z-scored first, equal to MONAI's chain, compiled and by torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from neurofm.augment.cpu_views import draw_stored
from neurofm.augment.draws import ViewDraw, ViewKey, draw_for, draw_view
from neurofm.augment.feed import ViewFeed
from neurofm.augment.noise import fill_with_noise
from neurofm.augment.views import apply_views, finished_views, make_views
from neurofm.config.learning import ViewsConfig
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import check_section
from neurofm.data.batch import Batch
from neurofm.data.loader import ScanLoader, StoredScan
from neurofm.data.prepare import zscore_in_mask
from neurofm.errors import ConfigError, ScanError
from neurofm.seeds import random_stream
from neurofm.store.packing import pack
from neurofm.store.quantise import quantise
from neurofm.store.reader import open_store

SMALL, LARGE = (25, 32, 32), (150, 192, 192)
CHAINS = {
    "supervised": {},
    "noise always": {"noise_probability": 1.0},
    "every transform": {
        "noise_probability": 1.0,
        "rotation_probability": 1.0,
        "gamma_probability": 1.0,
        "intensity_shift_probability": 1.0,
    },
    "z-scored last": {"zscore": "after", "noise_probability": 1.0, "gamma_probability": 0.5},
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


def draw(config: ViewsConfig, number: int, shape: tuple[int, int, int] = SMALL) -> ViewDraw:
    return draw_for(ViewKey(0, 0, f"c/{number}", 0), config, shape, 150 / shape[0])


def rms(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).double().square().mean().sqrt())


@pytest.mark.parametrize("number", range(12))
def test_a_supervised_view_equals_monais_chain(number, small, supervised, monai_chain):
    chosen = replace(draw(supervised, number), noise=None)
    ours, theirs = apply_views(*small, [chosen]), monai_chain(*small, chosen)
    assert torch.equal(ours[1], theirs[1])
    assert rms(ours[0], theirs[0]) < 1e-4


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("number", range(6))
def test_a_compiled_view_equals_the_torch_path(number, name, small, supervised):
    chosen = draw(supervised.model_copy(update=CHAINS[name]), number)
    scan, decoded = stored_and_decoded(small)
    image, mask, usable = compiled(scan, chosen)
    theirs = finished_views(*decoded, [chosen])
    assert usable
    assert bool(theirs[2])
    assert np.array_equal(mask, theirs[1][0, 0].numpy())
    assert np.abs(image - theirs[0][0, 0].numpy()).max() < 1e-3
    assert rms(torch.from_numpy(image), theirs[0][0, 0]) < 3e-5


@pytest.mark.slow
def test_full_size_supervised_views_equal_monais_chain(large, supervised, monai_chain):
    scan, decoded = stored_and_decoded(large)
    errors: dict[str, list[float]] = {"torch": [], "compiled": []}
    differing = {"torch": 0, "compiled": 0}
    for number in range(10):
        chosen = replace(draw(supervised, number, LARGE), noise=None)
        theirs = monai_chain(*decoded, chosen)
        image, mask, _ = compiled(scan, chosen)
        by_torch = apply_views(*decoded, [chosen])
        for name, (view, inside) in {
            "torch": (by_torch[0][0, 0], by_torch[1][0, 0]),
            "compiled": (torch.from_numpy(image), torch.from_numpy(mask)),
        }.items():
            errors[name].append(rms(view, theirs[0][0, 0]))
            differing[name] += int((inside != theirs[1][0, 0]).sum())
    for name, found in errors.items():
        assert np.median(found) <= 1e-3
        assert max(found) < 2e-2
        assert differing[name] <= 1e-5 * 10 * 150 * 192 * 192


def test_noise_is_what_monai_would_add_last(small, supervised):
    chosen = draw(supervised.model_copy(update={"noise_probability": 1.0}), 3)
    assert chosen.noise is not None
    quiet = finished_views(*small, [replace(chosen, noise=None)])[0]
    noisy = finished_views(*small, [chosen])[0]
    field = fill_with_noise(torch.empty_like(quiet), chosen.noise.seed)
    assert torch.allclose(noisy, quiet + chosen.noise.std * field, atol=1e-6)


def test_a_compiled_view_with_noise_is_the_same_bit_for_bit_each_time(small, supervised):
    chosen = draw(supervised.model_copy(update={"noise_probability": 1.0}), 4)
    scan, _ = stored_and_decoded(small)
    first, again = compiled(scan, chosen)[0], compiled(scan, chosen)[0]
    assert np.array_equal(first, again)


def test_a_scan_z_scored_first_is_nought_outside_its_mask_until_it_is_shifted(small):
    plain = ViewDraw((0, 0, 0), SMALL, False, None, 0.0, None, zscore_first=True)
    expected = zscore_in_mask(*small)
    for shift in (0.0, 0.1):
        for view in (
            finished_views(*small, [replace(plain, shift=shift)])[0][0, 0].numpy(),
            compiled(stored_and_decoded(small)[0], replace(plain, shift=shift))[0],
        ):
            outside = view[~small[1][0, 0].numpy()]
            assert np.allclose(outside, shift, atol=1e-6)
            assert np.abs(view - shift - expected[0, 0].numpy()).max() < 1e-3


def test_a_view_z_scored_last_is_nought_outside_its_mask_with_noise_too(small, supervised):
    config = supervised.model_copy(update={"zscore": "after", "noise_probability": 1.0})
    for number in range(4):
        image, mask, _ = compiled(stored_and_decoded(small)[0], draw(config, number))
        assert not image[~mask].any()
        theirs = finished_views(*small, [draw(config, number)])
        assert not theirs[0][~theirs[1]].any()


def test_affine_map_and_noise_change_no_other_draw(supervised):
    changed = {"affine": ViewsConfig().affine, "noise_probability": 0.0, "zscore": "after"}
    quiet = supervised.model_copy(update=changed)
    for number in range(40):
        drawn = draw(supervised, number, LARGE)
        stream = random_stream("view", 0, 0, f"c/{number}", 0, 0)
        plain = draw_view(stream, supervised, LARGE, 1.0)
        assert draw(quiet, number, LARGE) == plain
        assert replace(drawn, affine=None, noise=None, zscore_first=False) == plain


def test_affine_map_and_noise_depend_on_seed_epoch_participant_view_and_attempt(supervised):
    certain = supervised.affine.model_copy(update={"probability": 1.0})
    config = supervised.model_copy(update={"affine": certain, "noise_probability": 1.0})
    key = ViewKey(0, 0, "c/1", 0)
    drawn = draw_for(key, config, LARGE, 1.0)
    assert drawn == draw_for(key, config, LARGE, 1.0)
    for other in ({"seed": 1}, {"epoch": 1}, {"item": "c/2"}, {"view": 1}, {"attempt": 1}):
        changed = draw_for(replace(key, **other), config, LARGE, 1.0)
        assert changed.affine != drawn.affine
        assert changed.noise != drawn.noise


@pytest.mark.parametrize("fault", ["empty mask", "one intensity", "nan"])
def test_a_scan_without_usable_view_is_found_before_noise_hides_it(fault, small, supervised):
    config = supervised.model_copy(update={"noise_probability": 1.0, "max_redraws": 1})
    image, inside = (part[0, 0].numpy().copy() for part in small)
    if fault == "empty mask":
        inside[:] = False
    if fault == "one intensity":
        image[inside] = 7.0
    scan = stored(image, inside)
    if fault == "nan":
        scan, image = replace(scan, offset=float("nan")), np.full_like(image, np.nan)
    assert not compiled(scan, draw(config, 0))[2]
    tensors = torch.from_numpy(image)[None, None], torch.from_numpy(inside)[None, None]
    with pytest.raises(ScanError, match="c/1"):
        make_views(Batch(*tensors, (0,), ("c/1",), 0), config, 0, 0, 6.0)


def test_views_made_beforehand_are_those_of_torch_and_do_not_depend_on_threads(
    derivatives, tmp_path, supervised
):
    config = supervised.model_copy(update={"noise_probability": 1.0})
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    store, cpu = open_store(tmp_path / "store"), torch.device("cpu")
    plan = [[0, 1], [2, 3], [4]]
    made = [
        list(ViewFeed(store, config, 5, cpu, num_views=1, threads=threads).batches(plan, 1))
        for threads in (0, 3)
    ]
    for alone, together, scans in zip(*made, ScanLoader(store).batches(plan, 1), strict=True):
        assert torch.equal(alone.images, together.images)
        theirs = make_views(scans, config, 5, 0, 6.0)
        assert torch.equal(theirs.masks, alone.masks)
        assert (theirs.images - alone.images).abs().max() < 1e-3


def test_scanner_augmentation_of_a_z_scored_scan_is_refused():
    asked = {"zscore": "before", "scanner": {"noise_probability": 0.5}}
    with pytest.raises(ConfigError, match="scanner augmentation"):
        check_section(ViewsConfig, asked, "test")
