"""The picture of views: of stores and phantoms, as PNG or page, naming nobody."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from neurofm.augment.draws import ViewKey, draw_for
from neurofm.commands.views import views
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, load_recipe
from neurofm.data.batch import Batch
from neurofm.errors import ConfigError
from neurofm.reports.view_phantoms import phantom_batch
from neurofm.reports.view_samples import sample_pairs
from neurofm.reports.view_words import draw_words, pair_words
from neurofm.reports.views_page import write_views
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store


@pytest.fixture
def store(fake: SimpleNamespace, tmp_path: Path) -> Store:
    prepared = fake.write(tmp_path / "prepared", 5)
    pack(prepared, tmp_path / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    return open_store(tmp_path / "store")


def recipe(name: str) -> Recipe:
    return load_recipe(name, ("store.spacing_mm=6",))


def test_a_picture_holds_three_blocks_of_three_planes_a_participant(
    store: Store, tmp_path: Path
) -> None:
    sizes = []
    for participants in (1, 2):
        path = tmp_path / f"views{participants}.png"
        write_views(recipe("simclr-paper"), store, path, participants)
        sizes.append(Image.open(io.BytesIO(path.read_bytes())).size)
    (width, one), (same, two) = sizes
    assert width == same
    assert 180 < two - one < 260
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    for colour in ((0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00)):
        assert (pixels == colour).all(axis=1).sum() > 200  # both crops are drawn


def test_a_page_lists_the_effect_of_every_transform_and_names_nobody(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "views.html"
    effects = write_views(recipe("simclr-paper"), store, path, 2)
    page = path.read_text(encoding="utf-8")
    assert all(f"<td>{effect.transform}</td>" in page for effect in effects)
    assert "the intensity shift changes nothing" in page
    assert "fake" not in page
    assert str(store.folder) not in page


def test_the_views_shown_are_those_a_run_begins_with(store: Store) -> None:
    shown = sample_pairs(recipe("simclr-paper"), store, 3)
    assert len(shown) == 3
    keys = [ViewKey(0, 0, f"fake/p{number:02d}", 0) for number in range(3)]
    config = recipe("simclr-paper").views
    drawn = {draw_for(key, config, store.shape, 6.0) for key in keys}
    assert {pair.first.draw for pair in shown} == drawn
    for pair in shown:
        assert np.isfinite(pair.second.image).all()
        assert pair.second.mask.any()


def test_a_second_scan_is_shown_where_there_is_one(store: Store) -> None:
    shown = sample_pairs(recipe("simclr-anatomy"), store, 3)
    # the third participant of the store has one scan
    assert sorted(pair.is_of_two_scans for pair in shown) == [False, True, True]
    for pair in shown:
        assert pair.overlap >= 0.3
        assert ("two scans" in pair_words(pair)) == pair.is_of_two_scans
        differs = not np.array_equal(pair.first.scan, pair.second.scan)
        assert differs == pair.is_of_two_scans


def test_the_caption_tells_what_was_drawn(store: Store) -> None:
    (pair,) = sample_pairs(recipe("simclr-anatomy"), store, 1)
    words = draw_words(pair.first)
    assert "crop" in words
    assert f"stretch {pair.first.stretch:.1f}:1" in words
    gamma = pair.first.draw.gamma
    assert (gamma is None) == ("gamma 1" not in words and "gamma 0" not in words)


def test_the_caption_tells_of_affine_map_and_noise(store: Store) -> None:
    asked = ("views.affine.probability=1", "views.noise_probability=1", "views.zscore=before")
    chosen = load_recipe("simclr-paper", ("store.spacing_mm=6", *asked))
    (pair,) = sample_pairs(chosen, store, 1)
    draw = pair.first.draw
    assert draw.affine is not None
    assert draw.noise is not None
    words = draw_words(pair.first)
    assert f"noise {draw.noise.std:.2f}" in words
    assert f"size {100 / draw.affine.scale[0]:.0f} " in words
    assert len(words.splitlines()) == 3


@pytest.mark.slow
def test_phantoms_stand_in_for_a_store() -> None:
    pytest.importorskip("nilearn")
    batch = phantom_batch(recipe("simclr-anatomy"), 2)
    assert batch.images.shape == (2, 1, 25, 32, 32)
    assert isinstance(batch.second, Batch)
    share = batch.masks.float().mean(dim=(1, 2, 3, 4))
    assert ((share > 0.2) & (share < 0.4)).all()
    brain, outside = batch.images[batch.masks].mean(), batch.images[~batch.masks].mean()
    assert brain > 0.5
    assert outside < 0.1
    older = batch.second.images - batch.images
    assert older.abs().max() > 0.01


def test_another_ending_or_another_spacing_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png or \.html"):
        write_views(recipe("simclr-paper"), store, tmp_path / "views.jpg", 1)
    with pytest.raises(ConfigError, match=r"store\.spacing_mm=6"):
        write_views(load_recipe("simclr-paper"), store, tmp_path / "views.png", 1)


def test_the_command_says_where_and_what_is_in_vain(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "views.png"
    status = views(
        "simclr-paper", "store.spacing_mm=6", store=store.folder, output=path, participants=1
    )
    said = capsys.readouterr()
    assert status == 0
    assert path.is_file()
    assert str(path.resolve()) in said.out.replace("\n", "")
    assert "the intensity shift changes nothing" in said.err
