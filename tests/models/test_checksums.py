"""A bundle is loaded as it was made, to the last bit, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import WeightsError
from neurofm.files import write_text
from neurofm.models.card import Card, read_card
from neurofm.models.checksums import (
    CHECKSUMS_FILE,
    GOLDEN_FILE,
    MODEL_CARD_FILE,
    PARTS,
    verify_checksums,
    write_checksums,
)
from neurofm.models.weights import load_encoder, load_weights, save_weights

_FILES = (*PARTS, CHECKSUMS_FILE)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder with all parts, sealed; its weights are 200 numbers."""
    card = Card(encoder=ResNetConfig(widths=(4, 8, 8, 16)), features=16, spacing_mm=6.0)
    save_weights(tmp_path, {"encoder.some": torch.arange(200.0)}, card)
    write_text(tmp_path / MODEL_CARD_FILE, "# Model card\n")
    write_text(tmp_path / GOLDEN_FILE, "{}\n")
    write_checksums(tmp_path)
    return tmp_path


def test_any_flipped_bit_is_refused_in_one_line(bundle: Path) -> None:
    """Case 98: 1,000 random flips, spread over all files, the list itself included."""
    contents = {name: (bundle / name).read_bytes() for name in _FILES}
    rng = np.random.default_rng(0)
    places = [(str(rng.choice(_FILES)), int(rng.integers(2**40))) for _ in range(1000)]
    refusals = []
    for name, place in places:
        flipped = bytearray(contents[name])
        bit = place % (8 * len(flipped))
        flipped[bit // 8] ^= 1 << bit % 8
        (bundle / name).write_bytes(flipped)
        with pytest.raises(WeightsError) as caught:
            verify_checksums(bundle)
        refusals.append((name, str(caught.value)))
        (bundle / name).write_bytes(contents[name])
    assert len(refusals) == len(places)
    assert all(name in line and "\n" not in line for name, line in refusals)
    assert load_weights(bundle).card.features == 16


@pytest.mark.parametrize("name", _FILES)
@pytest.mark.parametrize(
    "content", [b"", None, b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1"]
)
def test_a_part_that_was_cut_off_or_replaced_is_refused(
    bundle: Path, name: str, content: bytes | None
) -> None:
    """Case 97; None stands for half of the file."""
    whole = (bundle / name).read_bytes()
    (bundle / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    for load in (read_card, load_weights, load_encoder):
        with pytest.raises(WeightsError, match=rf"{name}: is damaged.*copy or download"):
            load(bundle)


@pytest.mark.parametrize("name", _FILES)
def test_a_bundle_that_lacks_a_part_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(WeightsError, match=r"is missing in its bundle|without its checksums.json"):
        load_weights(bundle)


def test_a_part_replaced_with_its_checksum_changes_the_digest(bundle: Path) -> None:
    before = (bundle / CHECKSUMS_FILE).read_text()
    write_text(bundle / MODEL_CARD_FILE, "# Another\n")
    digest = write_checksums(bundle)
    assert digest in (bundle / CHECKSUMS_FILE).read_text()
    assert digest not in before


def test_a_newer_bundle_asks_for_an_upgrade(bundle: Path) -> None:
    """Case 102."""
    path = bundle / CHECKSUMS_FILE
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(WeightsError, match="upgrade"):
        load_weights(bundle)


def test_the_list_cannot_be_a_tower_of_brackets(bundle: Path) -> None:
    (bundle / CHECKSUMS_FILE).write_text("[" * 100_000)
    with pytest.raises(WeightsError, match="is damaged"):
        load_weights(bundle)
