"""`neurofm plan` prints a plan, for reading or as JSON."""

from __future__ import annotations

import json

import pytest

from neurofm.commands.plan import plan


def test_the_plan_names_the_ways_and_the_papers_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("simclr-paper", memory_gb=80.0) == 0
    text = capsys.readouterr().out
    assert "150x192x192 voxels, batch 72" in text
    assert "The paper's batch of 72 at this grid on one such card" in text


def test_overrides_count(capsys: pytest.CaptureFixture[str]) -> None:
    plan("simclr-paper", "store.spacing_mm=3", "training.batch_size=64", json_=True)
    record = json.loads(capsys.readouterr().out)
    assert record["batch_size"] == 64
    assert all(way["fits"] for way in record["ways"])


def test_json_holds_every_way_with_its_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    plan("simclr-paper", memory_gb=24.0, gpus=2, json_=True)
    record = json.loads(capsys.readouterr().out)
    assert record["cards"] == {"memory_gib": 24.0, "count": 2, "tflops": 800.0}
    assert all(way["way"]["overrides"] for way in record["ways"])
    assert all(len(way["paces"]) == 3 for way in record["ways"])
