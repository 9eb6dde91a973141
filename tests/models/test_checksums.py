"""A bundle is loaded as it was made, to the last bit, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import WeightsError
from neurofm.files import sha256_of, write_text
from neurofm.models.card import Card, read_card, write_card
from neurofm.models.checksums import (
    CHECKSUMS_FILE,
    GOLDEN_FILE,
    MODEL_CARD_FILE,
    PARTS,
    verify_checksums,
    write_checksums,
)
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import WEIGHTS_FILE, load_encoder, load_weights, save_weights

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


def _sealed_again(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Put other tensors in a bundle and make all of its checksums right again."""
    card = read_card(folder)
    save_file(state, folder / WEIGHTS_FILE)
    sha256 = sha256_of(folder / WEIGHTS_FILE)
    write_card(folder, card.model_copy(update={"weights_sha256": sha256}))
    write_checksums(folder)


def test_a_sealed_bundle_of_another_architecture_is_refused(bundle: Path) -> None:
    """Case 100."""
    with pytest.raises(WeightsError, match=r"missing \(.*1 unexpected \(some\)"):
        load_encoder(bundle)


def test_a_sealed_bundle_with_nan_is_refused(bundle: Path) -> None:
    """Case 101."""
    _sealed_again(bundle, {"encoder.some": torch.full((3,), torch.nan)})
    with pytest.raises(WeightsError, match="1 tensors hold NaN or Inf"):
        load_weights(bundle)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_sealed_bundle_in_half_precision_works(bundle: Path, dtype: torch.dtype) -> None:
    """Case 103."""
    whole = build_encoder(ResNetConfig(widths=(4, 8, 8, 16)), seed=1).state_dict()
    half = {
        f"encoder.{name}": tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in whole.items()
    }
    _sealed_again(bundle, half)
    weight = load_encoder(bundle).state_dict()["conv1.weight"]
    assert weight.dtype == torch.float32
    assert torch.allclose(weight, whole["conv1.weight"], atol=1e-3, rtol=1e-2)
