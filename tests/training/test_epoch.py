"""Steps without a finite loss teach nothing, and three in a row end the run."""

from __future__ import annotations

import signal
import threading

import pytest
import torch
from torch import nn

from neurofm.data.batch import Batch
from neurofm.errors import RunError
from neurofm.objectives.losses import Losses
from neurofm.training.epoch import Surroundings, run_epoch
from neurofm.training.learner import Learner
from neurofm.training.run_log import Record, epoch_record
from neurofm.training.stopping import RunStoppedError, stop_requests


class _MeanSquare(nn.Module):
    """An objective whose loss is NaN where the images are."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(1)

    def forward(self, batch: Batch) -> Losses:
        loss = (self.norm(batch.images) + self.norm.bias - 1).square().mean()
        return Losses(loss, {"square": loss.detach()}, {})


def _batch(value: float, row: int) -> Batch:
    generator = torch.Generator().manual_seed(row)
    images = torch.randn(2, 1, 4, 4, 4, generator=generator) * value
    masks = torch.ones_like(images, dtype=torch.bool)
    return Batch(images, masks, (row, row + 1), (f"c/{row}", f"c/{row + 1}"), 0)


def _learner() -> Learner:
    objective = _MeanSquare()
    return Learner(objective, torch.optim.Adam(objective.parameters(), lr=0.1))


def _around(stop: threading.Event | None = None) -> Surroundings:
    return Surroundings(
        torch.device("cpu"), stop or threading.Event(), lambda row: f"scan{row:02d}"
    )


def _run(learner: Learner, values: list[float]) -> list[Record]:
    batches = [_batch(value, 2 * row) for row, value in enumerate(values)]
    return list(run_epoch(learner, batches, 1, _around()))


def test_a_step_without_a_finite_loss_changes_nothing() -> None:
    learner = _learner()
    _run(learner, [1.0])
    before = {name: t.clone() for name, t in learner.objective.state_dict().items()}
    (record,) = _run(learner, [float("nan")])
    assert record.skipped_steps == 1
    assert record.as_json()["loss"] is None
    after = learner.objective.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_skipped_steps_in_a_row_are_counted_and_the_run_goes_on() -> None:
    nan = float("nan")
    records = _run(_learner(), [1.0, nan, nan, 1.0, nan, 1.0])
    assert [record.skipped_steps for record in records] == [0, 1, 1, 0, 1, 0]
    summary = epoch_record(records)
    assert summary.skipped_steps == 3
    assert summary.loss == pytest.approx(sum(r.loss for r in records if r.loss == r.loss) / 3)


def test_three_skipped_steps_in_a_row_end_the_run_and_name_the_scans() -> None:
    with pytest.raises(RunError, match="scan06, scan07"):
        _run(_learner(), [1.0] + [float("nan")] * 5)


def test_a_stop_request_ends_the_run_after_the_step() -> None:
    with stop_requests() as stop:
        steps = run_epoch(_learner(), [_batch(1.0, 0), _batch(1.0, 2)], 1, _around(stop))
        signal.raise_signal(signal.SIGTERM)
        assert next(steps).step == 1
        with pytest.raises(RunStoppedError, match="after step 1"):
            next(steps)


def test_earlier_signal_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
