"""Checkpoints that hold code: twenty ways to leave a canary file, and none is left."""

from __future__ import annotations

import io
import os
import pickle
import runpy
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import WeightsError
from neurofm.files import sha256_of, write_text
from neurofm.models.card import Card, write_card
from neurofm.models.checkpoint_import import import_checkpoint
from neurofm.models.checksums import GOLDEN_FILE, MODEL_CARD_FILE, write_checksums
from neurofm.models.weights import load_weights

Pack = Callable[[Any], bytes]


class Payload:
    """Unpickled without care, it calls what it was given."""

    def __init__(self, target: Callable[..., Any], *arguments: Any) -> None:
        self.call = (target, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def payload(number: int, canary: Path) -> Payload:
    script = canary.with_suffix(".py")
    script.write_text(f"open({str(canary)!r}, 'w').close()")
    return (
        Payload(os.mkdir, str(canary)),
        Payload(os.system, f"touch '{canary}'"),
        Payload(subprocess.check_call, ["touch", str(canary)]),
        Payload(eval, script.read_text()),
        Payload(runpy.run_path, str(script)),
    )[number]


def as_zip(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save({"model_state_dict": value}, buffer)
    return buffer.getvalue()


def as_pickle(value: Any) -> bytes:
    return pickle.dumps({"model_state_dict": value}, protocol=2)


def as_one_of_the_tensors(value: Any) -> bytes:
    buffer = io.BytesIO()
    content = {"model_state_dict": {"encoder.a": torch.ones(1), "encoder.b": value}}
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def in_tar(value: Any) -> bytes:
    data, buffer = as_zip(value), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("checkpoint.pth")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [as_zip, as_pickle, as_one_of_the_tensors, in_tar])
@pytest.mark.parametrize("number", range(5))
def test_code_in_a_checkpoint_never_runs(tmp_path: Path, pack: Pack, number: int) -> None:
    """Case 99."""
    canary = tmp_path / "canary"
    (tmp_path / "c.pt").write_bytes(pack(payload(number, canary)))
    with pytest.raises(WeightsError, match=r"none of it was run|damaged"):
        import_checkpoint(tmp_path / "c.pt", tmp_path / "weights", allow_incomplete=True)
    assert not canary.exists()
    assert not (tmp_path / "weights").exists()


def test_the_payloads_would_have_run(tmp_path: Path) -> None:
    for number in range(5):
        canary = tmp_path / str(number) / "canary"
        canary.parent.mkdir()
        pickle.loads(as_pickle(payload(number, canary)))
        assert canary.exists()


@pytest.mark.parametrize("number", range(5))
def test_a_pickle_in_the_place_of_weights_is_refused_though_its_checksums_are_right(
    tmp_path: Path, number: int
) -> None:
    """Case 99."""
    canary, weights = tmp_path / "canary", tmp_path / "weights.safetensors"
    weights.write_bytes(as_zip(payload(number, canary)))
    encoder = ResNetConfig()
    sha256 = sha256_of(weights)
    write_card(tmp_path, Card(encoder=encoder, features=512, spacing_mm=1.0, weights_sha256=sha256))
    write_text(tmp_path / MODEL_CARD_FILE, "")
    write_text(tmp_path / GOLDEN_FILE, "{}")
    write_checksums(tmp_path)
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        load_weights(tmp_path)
    assert not canary.exists()
