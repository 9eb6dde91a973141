"""`neurofm import-weights` prints what matched and refuses what did not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neurofm.commands.import_weights import import_weights
from neurofm.commands.weights_reference import folder_of
from neurofm.config.encoders import ResNetConfig
from neurofm.errors import WeightsError
from neurofm.models.encoder import build_encoder


def _encoder_checkpoint(path: Path) -> Path:
    state = build_encoder(ResNetConfig(), seed=1).state_dict()
    model = {f"module.encoder.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 1, "model_state_dict": model}, path)
    return path


def test_a_checkpoint_without_projector_is_imported_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = _encoder_checkpoint(tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="allow-incomplete"):
        import_weights(checkpoint, output=tmp_path / "weights")
    assert import_weights(checkpoint, output=tmp_path / "weights", allow_incomplete=True) == 0
    printed = capsys.readouterr()
    coverage = "3d-neuro-simclr: 123 tensors loaded, 2 missing, 0 unexpected"
    assert f"{coverage} -> {tmp_path / 'weights'}" in printed.out
    assert "missing: projector.0.weight" in printed.err
    assert "\nCite: Kaczmarek E" in printed.err
    assert "\nTerms: As published" in printed.err
    folder_of(str(tmp_path / "weights"))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"Weights: {coverage}"
    assert [line.split()[0] for line in told[1:]] == ["Cite:", "Terms:"]
