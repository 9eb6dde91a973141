"""Weights on disk: loaded whole, or refused with one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import neurofm
from neurofm.config.encoders import ResNetConfig
from neurofm.errors import WeightsError
from neurofm.files import sha256_of
from neurofm.models.card import CARD_FORMAT, Card
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import WEIGHTS_FILE, load_encoder, load_weights, save_weights

_TINY = ResNetConfig(widths=(4, 8, 8, 16))


def _state(seed: int = 1) -> dict[str, torch.Tensor]:
    encoder = build_encoder(_TINY, seed)
    return {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}


def _save(folder: Path, state: dict[str, torch.Tensor] | None = None) -> Card:
    card = Card(encoder=_TINY, features=16, spacing_mm=6.0, description="a test")
    return save_weights(folder, _state() if state is None else state, card)


def _edit_card(folder: Path, **changes: object) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_encoder_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    _save(tmp_path)
    encoder = neurofm.load_encoder(tmp_path)
    volume = torch.randn(2, 1, 25, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = build_encoder(_TINY, 1).eval()(volume)
    assert torch.equal(encoder(volume), expected)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_the_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = _save(tmp_path)
    assert load_weights(tmp_path).card == written
    assert len(written.weights_sha256) == 64


def test_weights_with_nan_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    """Case 101."""
    state = _state()
    state["encoder.conv1.weight"] = state["encoder.conv1.weight"] * float("nan")
    with pytest.raises(WeightsError, match=r"1 tensors hold NaN or Inf \(encoder.conv1.weight\)"):
        _save(tmp_path, state)
    assert not list(tmp_path.iterdir())


def test_one_flipped_bit_is_refused(tmp_path: Path) -> None:
    """Case 98."""
    _save(tmp_path)
    data = bytearray((tmp_path / WEIGHTS_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / WEIGHTS_FILE).write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="SHA-256"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", None, b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1"]
)
def test_cut_off_or_replaced_weights_are_refused(tmp_path: Path, content: bytes | None) -> None:
    """Case 97; None stands for half of the file."""
    _save(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(WeightsError, match=r"is damaged.*copy the folder again"):
        load_encoder(tmp_path)


def test_weights_with_nan_are_refused_when_they_are_loaded(tmp_path: Path) -> None:
    """Case 101."""
    _save(tmp_path)
    state = _state()
    state["encoder.conv1.weight"] = state["encoder.conv1.weight"] * float("nan")
    save_file(state, tmp_path / WEIGHTS_FILE)
    _edit_card(tmp_path, weights_sha256=sha256_of(tmp_path / WEIGHTS_FILE))
    with pytest.raises(WeightsError, match="1 tensors hold NaN or Inf"):
        load_encoder(tmp_path)


def test_weights_of_another_model_altogether_are_refused(tmp_path: Path) -> None:
    """Case 100."""
    _save(tmp_path, {"encoder.patch_embed.weight": torch.ones(3)})
    with pytest.raises(WeightsError, match=r"missing .*1 unexpected \(patch_embed.weight\)"):
        load_encoder(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    """Case 102."""
    _save(tmp_path)
    _edit_card(tmp_path, format_version=CARD_FORMAT + 1, something_new=1)
    with pytest.raises(WeightsError, match="upgrade"):
        load_encoder(tmp_path)


def test_missing_and_unexpected_names_are_counted_and_listed(tmp_path: Path) -> None:
    """Case 100."""
    state = _state()
    state["encoder.extra.weight"] = state.pop("encoder.bn1.bias")
    _save(tmp_path, state)
    message = r"1 missing \(bn1.bias\), 1 unexpected \(extra.weight\)"
    with pytest.raises(WeightsError, match=message):
        load_encoder(tmp_path)


def test_a_card_of_another_width_is_refused(tmp_path: Path) -> None:
    _save(tmp_path)
    _edit_card(tmp_path, encoder=ResNetConfig(widths=(4, 8, 8, 32)).model_dump(mode="json"))
    with pytest.raises(WeightsError, match="of another shape"):
        load_encoder(tmp_path)


def test_a_folder_without_weights_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="unfinished run"):
        load_encoder(tmp_path)


def test_a_card_without_its_weights_is_refused(tmp_path: Path) -> None:
    _save(tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(WeightsError, match="missing"):
        load_encoder(tmp_path)


def test_a_card_that_is_no_json_is_refused(tmp_path: Path) -> None:
    _save(tmp_path)
    (tmp_path / "card.json").write_text("<html>")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_encoder(tmp_path)
