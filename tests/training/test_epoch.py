"""Steps without a finite loss teach nothing; the rest of a step's record."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from neurofm.data.batch import BadScan, Batch
from neurofm.objectives.losses import Losses
from neurofm.training.epoch import Surroundings, run_epoch
from neurofm.training.learner import Learner
from neurofm.training.run_log import Record, epoch_record


class _MeanSquare(nn.Module):
    """An objective whose loss is NaN where the images are; draws from torch's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(1)

    def forward(self, batch: Batch) -> Losses:
        images = nn.functional.dropout(self.norm(batch.images), 0.2)
        loss = (images + self.norm.bias - 1).square().mean()
        return Losses(loss, {"square": loss.detach()}, {})


def _batch(value: float, row: int) -> Batch:
    generator = torch.Generator().manual_seed(row)
    images = torch.randn(2, 1, 4, 4, 4, generator=generator) * value
    masks = torch.ones_like(images, dtype=torch.bool)
    return Batch(images, masks, (row, row + 1), (f"c/{row}", f"c/{row + 1}"), 0)


def _learner() -> Learner:
    objective = _MeanSquare()
    return Learner(objective, torch.optim.Adam(objective.parameters(), lr=0.1))


def _run(learner: Learner, values: list[float], first_step: int = 1) -> list[Record]:
    rows = [2 * (first_step - 1 + number) for number in range(len(values))]
    batches = [_batch(value, row) for value, row in zip(values, rows, strict=True)]
    around = Surroundings(
        torch.device("cpu"), 0, lambda step: 0.1 / step, lambda row: f"scan{row:02d}"
    )
    return list(run_epoch(learner, batches, first_step, around))


def test_a_step_without_a_finite_loss_changes_nothing() -> None:
    """Case P10."""
    learner = _learner()
    _run(learner, [1.0])
    before = {name: t.clone() for name, t in learner.objective.state_dict().items()}
    (record,) = _run(learner, [float("nan")])
    assert record.skipped_steps == 1
    assert record.as_json()["loss"] is None
    after = learner.objective.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_skipped_steps_are_counted_and_their_scans_named() -> None:
    """Case P10."""
    nan = float("nan")
    records = _run(_learner(), [1.0, nan, nan, 1.0, nan, 1.0])
    assert [record.skipped_steps for record in records] == [0, 1, 1, 0, 1, 0]
    assert records[2].as_json()["skipped_scans"] == ("scan04", "scan05")
    assert "skipped_scans" not in records[3].as_json()
    summary = epoch_record(records)
    assert summary.skipped_steps == 3
    assert summary.loss == pytest.approx(sum(r.loss for r in records if r.loss == r.loss) / 3)


def test_a_step_with_a_bad_scan_teaches_nothing_and_names_that_scan_alone() -> None:
    """Case P7: whatever the loss."""
    learner = _learner()
    before = {name: t.clone() for name, t in learner.objective.state_dict().items()}
    batch = replace(_batch(1.0, 4), bad_scans=(BadScan(5, "scan05: cannot be read"),))
    around = Surroundings(torch.device("cpu"), 0, lambda _step: 0.1, lambda row: f"scan{row:02d}")
    (record,) = run_epoch(learner, [batch], 1, around)
    assert record.skipped_steps == 1
    assert record.as_json()["skipped_scans"] == ("scan05",)
    assert record.as_json()["bad_scans"] == {"scan05": "scan05: cannot be read"}
    after = learner.objective.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_each_step_has_the_learning_rate_of_its_number() -> None:
    records = _run(_learner(), [1.0] * 3, first_step=4)
    assert [record.learning_rate for record in records] == [0.1 / 4, 0.1 / 5, 0.1 / 6]


def test_draws_from_torchs_generator_depend_on_the_step_alone() -> None:
    whole, halves = _learner(), _learner()
    expected = [record.loss for record in _run(whole, [1.0] * 4)]
    losses = [record.loss for record in _run(halves, [1.0] * 2)]
    torch.manual_seed(99)
    losses += [record.loss for record in _run(halves, [1.0] * 2, first_step=3)]
    assert losses == expected
