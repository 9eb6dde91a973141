"""Foreign checkpoints: every name accounted for, no code run, clear refusals."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import torch

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import WeightsError
from neurofm.models.checkpoint_import import import_checkpoint
from neurofm.models.encoder import build_encoder
from neurofm.models.projector import build_projector
from neurofm.models.weights import load_encoder, load_weights

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """All 125 tensors, in half precision to keep the files small."""
    encoder = build_encoder(ResNetConfig(), seed=5).state_dict()
    projector = build_projector(512, 64, seed=5).state_dict()
    model = {f"encoder.{name}": tensor for name, tensor in encoder.items()} | {
        f"projector.{name}": tensor for name, tensor in projector.items()
    }
    return {name: _cast(tensor, torch.float16) for name, tensor in model.items()}


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _checkpoint_bytes(state: State) -> bytes:
    buffer = io.BytesIO()
    content = {"epoch": 149, "model_state_dict": state, "optimizer_state_dict": {"state": {}}}
    torch.save(content, buffer)
    return buffer.getvalue()


def _write_tar(path: Path, name: str, data: bytes, mode: str) -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def test_a_bare_checkpoint_with_any_ending_imports_completely(tmp_path: Path, state: State) -> None:
    path = tmp_path / "simclr_3d_brain_foundation.tar"
    path.write_bytes(_checkpoint_bytes(state))
    report = import_checkpoint(path, tmp_path / "weights")
    assert len(report.matched) == 125
    assert report.is_complete
    loaded = load_weights(tmp_path / "weights")
    assert all(
        torch.equal(loaded.state[name], state[name].to(loaded.state[name].dtype)) for name in state
    )


def test_the_card_names_paper_contract_and_cohorts(tmp_path: Path, state: State) -> None:
    (tmp_path / "a.pt").write_bytes(_checkpoint_bytes(state))
    import_checkpoint(tmp_path / "a.pt", tmp_path / "weights")
    card = load_weights(tmp_path / "weights").card
    assert "Kaczmarek" in card.citation
    assert sum(count.participants for count in card.cohorts) == 18_759
    assert sum(count.scans for count in card.cohorts) == 44_958
    assert card.contract is not None
    assert "rigid" in json.dumps(card.contract)
    assert str(tmp_path) not in card.model_dump_json()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_checkpoint_inside_a_tar_is_found(tmp_path: Path, state: State, mode: str) -> None:
    path = tmp_path / "download"
    few = {"encoder.bn1.bias": state["encoder.bn1.bias"]}
    _write_tar(path, "folder/checkpoint.pth", _checkpoint_bytes(few), mode)
    report = import_checkpoint(path, tmp_path / "weights", allow_incomplete=True)
    assert report.matched == ("encoder.bn1.bias",)


def test_prefixes_of_many_processes_and_compilation_are_taken_off(
    tmp_path: Path, state: State
) -> None:
    """Case 103."""
    names = ("encoder.bn1.bias", "encoder.bn1.weight", "projector.0.weight")
    prefixes = ("module.", "_orig_mod.", "module._orig_mod.")
    few = {prefix + name: state[name] for prefix, name in zip(prefixes, names, strict=True)}
    (tmp_path / "c.pt").write_bytes(_checkpoint_bytes(few))
    report = import_checkpoint(tmp_path / "c.pt", tmp_path / "weights", allow_incomplete=True)
    assert sorted(report.matched) == sorted(names)
    assert not report.unexpected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path: Path, state: State, dtype: torch.dtype) -> None:
    """Case 103; half precision is that of the other tests' checkpoint."""
    few = {"encoder.conv1.weight": state["encoder.conv1.weight"].to(dtype)}
    (tmp_path / "c.pt").write_bytes(_checkpoint_bytes(few))
    import_checkpoint(tmp_path / "c.pt", tmp_path / "weights", allow_incomplete=True)
    weight = load_encoder(tmp_path / "weights").state_dict()["conv1.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, few["encoder.conv1.weight"].float())


def test_anything_short_of_complete_is_an_error_unless_asked_for(
    tmp_path: Path, state: State
) -> None:
    """Case 100."""
    partial = {n: t for n, t in state.items() if n != "encoder.bn1.bias"} | {
        "head.weight": torch.zeros(1)
    }
    (tmp_path / "c.pt").write_bytes(_checkpoint_bytes(partial))
    message = r"124 names match, 1 missing \(encoder.bn1.bias\), 1 unexpected \(head.weight\)"
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(tmp_path / "c.pt", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
    report = import_checkpoint(tmp_path / "c.pt", tmp_path / "weights", allow_incomplete=True)
    assert report.missing == ("encoder.bn1.bias",)
    assert load_weights(tmp_path / "weights").card.initialised == ("encoder.bn1.bias",)


def test_nothing_matched_is_an_error_even_when_incomplete_is_allowed(tmp_path: Path) -> None:
    """Case 100."""
    (tmp_path / "c.pt").write_bytes(_checkpoint_bytes({"vit.weight": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="0 names match"):
        import_checkpoint(tmp_path / "c.pt", tmp_path / "weights", allow_incomplete=True)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, state: State, share: float) -> None:
    """Case 97."""
    data = _checkpoint_bytes({"encoder.conv1.weight": state["encoder.conv1.weight"]})
    (tmp_path / "c.pt").write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match="damaged"):
        import_checkpoint(tmp_path / "c.pt", tmp_path / "weights")


def test_a_flipped_bit_in_a_checkpoint_is_refused(tmp_path: Path, state: State) -> None:
    """Case 98."""
    data = bytearray(_checkpoint_bytes({"encoder.conv1.weight": state["encoder.conv1.weight"]}))
    data[len(data) // 2] ^= 1
    (tmp_path / "c.pt").write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="damaged"):
        import_checkpoint(tmp_path / "c.pt", tmp_path / "weights")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x80\x02}q\x00(X\x05\x00h", "damaged"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b'{"error": "not found"}', "web page or an error"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"just some text that is no checkpoint", "damaged"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    """Case 97."""
    (tmp_path / "c.tar").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(tmp_path / "c.tar", tmp_path / "weights")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_checkpoint_with_nan_is_refused_and_leaves_nothing(
    tmp_path: Path, state: State, value: float
) -> None:
    """Case 101."""
    bad = state | {"encoder.bn1.bias": torch.full_like(state["encoder.bn1.bias"], value)}
    (tmp_path / "c.pt").write_bytes(_checkpoint_bytes(bad))
    with pytest.raises(WeightsError, match=r"1 tensors hold NaN or Inf \(encoder.bn1.bias\)"):
        import_checkpoint(tmp_path / "c.pt", tmp_path / "weights")
    assert not list((tmp_path / "weights").glob("*"))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        import_checkpoint(tmp_path / "none.pt", tmp_path / "weights")
    with pytest.raises(WeightsError, match="is a folder"):
        import_checkpoint(tmp_path, tmp_path / "weights")


def test_a_tar_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    _write_tar(tmp_path / "c.tar", "readme.txt", b"hello", "w")
    with pytest.raises(WeightsError, match="0 checkpoints"):
        import_checkpoint(tmp_path / "c.tar", tmp_path / "weights")


def test_a_truncated_tar_is_refused(tmp_path: Path, state: State) -> None:
    """Case 97."""
    few = {"encoder.conv1.weight": state["encoder.conv1.weight"]}
    _write_tar(tmp_path / "whole.tar", "c.pt", _checkpoint_bytes(few), "w")
    data = (tmp_path / "whole.tar").read_bytes()
    (tmp_path / "c.tar").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match="damaged"):
        import_checkpoint(tmp_path / "c.tar", tmp_path / "weights")


def test_weights_that_are_there_are_not_overwritten(tmp_path: Path, state: State) -> None:
    (tmp_path / "c.pt").write_bytes(_checkpoint_bytes(state))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "card.json").write_text("{}")
    with pytest.raises(WeightsError, match="holds weights already"):
        import_checkpoint(tmp_path / "c.pt", tmp_path / "weights")
