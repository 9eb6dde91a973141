"""Fixtures of the tests of inference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neurofm.config.encoders import MonaiResNetConfig
from neurofm.models.encoder import build_encoder


@pytest.fixture
def medicalnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkpoint in MedicalNet's layout; what is imported from it goes to a cache apart."""
    monkeypatch.setenv("NEUROFM_CACHE", str(tmp_path / "cache"))
    config = MonaiResNetConfig(
        blocks=(1, 1, 1, 1), widths=(4, 4, 8, 8), stem_stride=2, shortcut_bias=False
    )
    path = tmp_path / "medicalnet.pth"
    torch.save({"state_dict": build_encoder(config, seed=1).state_dict()}, path)
    return path
