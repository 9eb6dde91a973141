"""The log of a run: readable after a crash, cut back to the checkpoint on resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neurofm.training.run_log import Record, epoch_record, open_log, read_log

_STEP = Record(
    kind="step",
    epoch=0,
    step=1,
    loss=2.0,
    parts={"nt_xent": 2.0},
    figures={"alignment": 0.5},
    gradient_norm=1.0,
    learning_rate=0.1,
    pairs_per_second=8.0,
    data_wait_share=0.25,
    seconds=2.0,
    skipped_steps=0,
)


def test_lines_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    with open_log(tmp_path, 0) as log:
        for step in range(1, 6):
            log.add(replace(_STEP, step=step))
    with open_log(tmp_path, 3) as log:
        log.add(replace(_STEP, step=4, loss=9.0))
    assert [(row["step"], row["loss"]) for row in read_log(tmp_path)] == [
        (1, 2.0),
        (2, 2.0),
        (3, 2.0),
        (4, 9.0),
    ]


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    with open_log(tmp_path, 0) as log:
        log.add(_STEP)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"kind": "step", "parts": {"nt_xent": 1.0}')
    assert len(read_log(tmp_path)) == 1


def test_figures_stand_beside_the_loss_and_nan_is_null(tmp_path: Path) -> None:
    with open_log(tmp_path, 0) as log:
        log.add(replace(_STEP, loss=float("nan"), skipped_steps=1))
    row = json.loads((tmp_path / "log.jsonl").read_text())
    assert row["loss"] is None
    assert row["alignment"] == 0.5
    assert row["parts"] == {"nt_xent": 2.0}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_the_numbers_of_the_log_also_after_a_stop(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with open_log(tmp_path, 0) as log:
        for step in range(1, 6):
            log.add(replace(_STEP, step=step))
    with open_log(tmp_path, 3) as log:
        log.add(replace(_STEP, step=4, loss=9.0))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    names = {"loss", "nt_xent", "alignment", "gradient_norm", "learning_rate"}
    names |= {"pairs_per_second", "data_wait_share", "seconds", "skipped_steps"}
    assert set(events.Tags()["scalars"]) == {f"step/{name}" for name in names}
    shown = [(event.step, event.value) for event in events.Scalars("step/loss")]
    assert shown == [(row["step"], row["loss"]) for row in read_log(tmp_path)]


def test_an_epoch_sums_up_its_steps() -> None:
    slow = replace(_STEP, step=2, loss=4.0, seconds=6.0, pairs_per_second=4.0, data_wait_share=0.75)
    epoch = epoch_record([_STEP, slow])
    assert (epoch.kind, epoch.step, epoch.loss, epoch.seconds) == ("epoch", 2, 3.0, 8.0)
    assert epoch.pairs_per_second == (16 + 24) / 8
    assert epoch.data_wait_share == (0.5 + 4.5) / 8
