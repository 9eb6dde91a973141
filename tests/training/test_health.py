"""The alarm on collapse, alone and in a run; and that looking at a run changes nothing in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from neurofm.config.health import HealthConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import RunError
from neurofm.evaluation.epoch_probe import epoch_probe
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.store.reader import Store
from neurofm.training.checkpoints import find_checkpoint
from neurofm.training.fit import Manner, pretrain
from neurofm.training.health import Alarm, CollapseAlarm
from neurofm.training.onlookers import Onlookers, ProbeScore
from neurofm.training.run_log import Record, read_log

_CPU = torch.device("cpu")
_TIMES = ("seconds", "pairs_per_second", "data_wait_share")
_HEALTHY, _COLLAPSED = -2.0, -0.01
# No run of 8 projected features is as evenly spread as this: each is taken for a collapse.
_ANY_RUN = {"max_uniformity": -3.999, "collapse_grace_steps": 2, "collapse_window_steps": 2}


class _Interruption(Exception):
    """Stands for anything that ends a run in the middle."""


class _InterruptAt(SilentProgress):
    """A progress bar that breaks in a step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if not self._left:
            raise _Interruption


def _config(**changes: float) -> HealthConfig:
    usual = {"collapse_grace_steps": 10, "collapse_window_steps": 5}
    return HealthConfig.model_validate(usual | changes)


def _step(step: int, uniformity: float = _HEALTHY, rank: float = 10.0, skipped: int = 0) -> Record:
    return Record(
        kind="step",
        epoch=0,
        step=step,
        loss=1.0,
        parts={"nt_xent": 1.0},
        figures={"uniformity": uniformity, "effective_rank": rank, "alignment": 0.1},
        gradient_norm=1.0,
        learning_rate=0.1,
        pairs_per_second=8.0,
        data_wait_share=0.25,
        seconds=2.0,
        skipped_steps=skipped,
    )


def _alarms(alarm: CollapseAlarm, records: list[Record]) -> list[Alarm]:
    return [found for found in map(alarm.judge, records) if found]


def _watched(recipe: Recipe, epochs: int = 3, **health: Any) -> Recipe:
    values = recipe.model_dump(mode="json")
    training = values["training"] | {"epochs": epochs}
    return Recipe.model_validate(
        values
        | {"training": training, "health": values["health"] | {"probe_epochs": 0} | health}
        | {"evaluation": values["evaluation"] | {"folds": 2}}
    )


def _learnt(folder: Path) -> list[dict[str, Any]]:
    """The log of steps and epochs without durations."""
    lines = [line for line in read_log(folder) if line["kind"] in ("step", "epoch")]
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]


def _same_weights(one: Path, other: Path) -> bool:
    first, second = load_weights(one).state, load_weights(other).state
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def _said_of_features(told: list[str]) -> list[str]:
    return [line for line in told if "the features" in line]


def _of_kind(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_log(folder) if line["kind"] == kind]


def test_the_alarm_is_silent_in_all_steps_of_grace_and_comes_with_the_next() -> None:
    collapsed = [_step(step, _COLLAPSED, rank=1.0) for step in range(1, 31)]
    assert _alarms(CollapseAlarm(_config(), 16), collapsed[:10]) == []
    (alarm,) = _alarms(CollapseAlarm(_config(), 16), collapsed)
    assert (alarm.step, alarm.figure, alarm.value, alarm.limit) == (
        11,
        "uniformity",
        _COLLAPSED,
        -0.2,
    )


def test_the_alarm_waits_for_a_full_window() -> None:
    config = _config(collapse_grace_steps=1, collapse_window_steps=7)
    (alarm,) = _alarms(CollapseAlarm(config, 16), [_step(n, _COLLAPSED) for n in range(1, 20)])
    assert alarm.step == 7


def test_the_alarm_comes_at_the_step_that_brings_the_median_above_the_limit() -> None:
    """Of a window of 5, two collapsed steps are no alarm and the third is."""
    healthy = [_step(step) for step in range(1, 21)]
    two = [_step(step, _COLLAPSED) for step in (21, 22)]
    again = [_step(step) for step in range(23, 41)]
    assert _alarms(CollapseAlarm(_config(), 16), healthy + two + again) == []
    three = [_step(step, _COLLAPSED) for step in (21, 22, 23)]
    (alarm,) = _alarms(CollapseAlarm(_config(), 16), healthy + three)
    assert alarm.step == 23


def test_a_single_wild_step_is_no_alarm_however_wild() -> None:
    """A mean would pass the limit."""
    records = [_step(step, rank=3.0) for step in range(1, 40)]
    records[25] = _step(26, uniformity=0.0, rank=0.0)
    assert _alarms(CollapseAlarm(_config(min_effective_rank=2.5), 16), records) == []


def test_values_at_the_limits_are_no_alarm() -> None:
    records = [_step(step, uniformity=-0.2, rank=2.0) for step in range(1, 40)]
    assert _alarms(CollapseAlarm(_config(), 16), records) == []


def test_there_is_one_alarm_even_where_the_run_recovers_and_collapses_again() -> None:
    records = [
        _step(step, _COLLAPSED if step // 20 % 2 else _HEALTHY, rank=1.0 if step > 60 else 9.0)
        for step in range(1, 101)
    ]
    alarm = CollapseAlarm(_config(), 16)
    assert [found.step for found in _alarms(alarm, records)] == [22]
    assert alarm.is_raised


@pytest.mark.parametrize(("batch_size", "alarms"), [(2, 0), (7, 0), (8, 1), (72, 1)])
def test_the_rank_is_judged_for_batches_of_eight_or_more(batch_size: int, alarms: int) -> None:
    records = [_step(step, rank=1.5) for step in range(1, 40)]
    found = _alarms(CollapseAlarm(_config(), batch_size), records)
    assert [(alarm.figure, alarm.value, alarm.limit) for alarm in found] == [
        ("effective_rank", 1.5, 2.0)
    ] * alarms


def test_skipped_steps_neither_raise_an_alarm_nor_push_others_out_of_the_window() -> None:
    skipped = [_step(step, float("nan"), rank=0.0, skipped=1) for step in range(1, 60)]
    assert _alarms(CollapseAlarm(_config(), 16), skipped) == []
    alarm = CollapseAlarm(_config(), 16)
    records = [_step(step) for step in range(1, 21)]
    for step in range(21, 27, 2):  # three collapsed steps, a skipped one before each
        records += [skipped[step - 1], _step(step + 1, _COLLAPSED)]
    assert [found.step for found in _alarms(alarm, records)] == [26]


def test_an_alarm_says_what_was_seen_and_what_to_try_in_one_line() -> None:
    for alarm, said in (
        (Alarm(2, 120, "uniformity", -0.0125, -0.2), "uniformity -0.0125 is above -0.2"),
        (Alarm(2, 120, "effective_rank", 1.04, 2.0), "effective rank 1.04 is below 2"),
    ):
        assert said in alarm.text
        assert "step 120" in alarm.text
        assert "learning rate" in alarm.text
        assert "\n" not in alarm.text
        assert alarm.as_json()["text"] == alarm.text
        assert (alarm.as_json()["kind"], alarm.as_json()["step"]) == ("alarm", 120)


@pytest.mark.parametrize("stopped_after", [9, 11, 12, 13, 14])
def test_an_alarm_recalled_from_the_log_is_that_of_a_run_never_stopped(stopped_after: int) -> None:
    """Its window reaches back beyond the interruption, and it knows what it has said."""
    records = [_step(step, _COLLAPSED if step > 10 else _HEALTHY) for step in range(1, 31)]
    assert [found.step for found in _alarms(CollapseAlarm(_config(), 16), records)] == [13]
    first = CollapseAlarm(_config(), 16)
    lines: list[Mapping[str, Any]] = []
    for record in records[:stopped_after]:
        raised = first.judge(record)
        lines += [record.as_json()] + ([raised.as_json()] if raised else [])
    second = CollapseAlarm(_config(), 16)
    second.recall(lines)
    later = [found.step for found in _alarms(second, records[stopped_after:])]
    assert later == ([13] if stopped_after < 13 else [])
    assert second.is_raised


def test_a_run_that_collapses_says_so_once_goes_on_and_learns_what_it_would_have_learnt(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    told: list[str] = []
    calm, folder = tmp_path / "calm", tmp_path / "alarmed"
    pretrain(_watched(recipe), store, calm, _CPU)
    pretrain(_watched(recipe, **_ANY_RUN), store, folder, _CPU, how=Manner(tell=told.append))
    (line,) = _of_kind(folder, "alarm")
    assert (line["epoch"], line["step"], line["figure"]) == (1, 3, "uniformity")
    assert _said_of_features(told) == [f"Warning: {line['text']}"]
    assert _of_kind(calm, "alarm") == []
    assert len(_of_kind(folder, "step")) == 6
    assert _learnt(calm) == _learnt(folder)
    assert _same_weights(calm, folder)


@pytest.mark.slow
def test_a_run_that_does_collapse_is_noticed_with_the_packaged_limits(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    """A learning rate a thousand times too high: all projections fall together."""
    wild = _watched(recipe, epochs=12, collapse_grace_steps=10)
    wild = wild.model_copy(
        update={"training": wild.training.model_copy(update={"learning_rate": 1.0})}
    )
    pretrain(wild, store, tmp_path / "wild", _CPU)
    pretrain(_watched(recipe, epochs=12, collapse_grace_steps=10), store, tmp_path / "calm", _CPU)
    assert len(_of_kind(tmp_path / "wild", "alarm")) == 1
    assert _of_kind(tmp_path / "calm", "alarm") == []


@pytest.mark.parametrize("interrupted_in", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_a_resumed_run_has_the_one_alarm_of_a_run_never_stopped(
    recipe: Recipe, store: Store, tmp_path: Path, interrupted_in: int
) -> None:
    """In step 3 the alarm is dropped with its step, and comes again with it; later it is known."""
    told: list[str] = []
    how = Manner(tell=told.append)
    watched = _watched(recipe, **_ANY_RUN)
    pretrain(watched, store, tmp_path / "whole", _CPU)
    with pytest.raises(_Interruption):
        pretrain(watched, store, tmp_path / "broken", _CPU, _InterruptAt(interrupted_in), how=how)
    pretrain(watched, store, tmp_path / "broken", _CPU, how=how)
    assert _of_kind(tmp_path / "broken", "alarm") == _of_kind(tmp_path / "whole", "alarm")
    assert _learnt(tmp_path / "broken") == _learnt(tmp_path / "whole")
    assert len(_said_of_features(told)) == (2 if interrupted_in == 3 else 1)


@pytest.mark.parametrize(
    ("grace", "stopped_at"),
    [(2, (1, 3, 1)), (3, (2, 4, 0)), pytest.param(5, (3, 6, 0), marks=pytest.mark.slow)],
)
def test_a_run_that_is_to_stop_at_a_collapse_ends_with_a_checkpoint_and_goes_on_when_told(
    recipe: Recipe,
    store: Store,
    tmp_path: Path,
    grace: int,
    stopped_at: tuple[int, int, int],
) -> None:
    """Inside an epoch, at its last step, and at the last step of all."""
    stopping = _watched(recipe, **_ANY_RUN | {"collapse_grace_steps": grace}, stop_on_collapse=True)
    folder = tmp_path / "run"
    for _ in range(2):  # the same command says the same again, and trains no further
        with pytest.raises(RunError, match=rf"collapsed; .* step {stopped_at[1]};.*=false") as told:
            pretrain(stopping, store, folder, _CPU)
        assert told.value.where == str(folder)
        found = find_checkpoint(folder)
        assert found is not None
        position = found.checkpoint.position
        assert (position.epoch, position.step, position.step_in_epoch) == stopped_at
        assert len(_of_kind(folder, "step")) == stopped_at[1]
        assert len(_of_kind(folder, "alarm")) == 1
        assert not (folder / "weights.safetensors").exists()
    pretrain(_watched(recipe, **_ANY_RUN), store, folder, _CPU)
    pretrain(_watched(recipe), store, tmp_path / "never-stopped", _CPU)
    assert _learnt(folder) == _learnt(tmp_path / "never-stopped")
    assert _same_weights(folder, tmp_path / "never-stopped")


def test_losses_and_weights_with_and_without_a_probe_are_the_same_bit_for_bit(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    how = Manner(onlookers=Onlookers(epoch_probe))
    pretrain(_watched(recipe, probe_epochs=0), store, tmp_path / "without", _CPU, how=how)
    pretrain(_watched(recipe, probe_epochs=1), store, tmp_path / "with", _CPU, how=how)
    assert _of_kind(tmp_path / "without", "probe") == []
    probes = [(line["epochs_done"], line["step"], line["task"]) for line in read_log(
        tmp_path / "with") if line["kind"] == "probe"]  # fmt: skip
    assert probes == [
        (epoch, 2 * epoch, task) for epoch in range(4) for task in ("age_years", "sex")
    ]
    assert _learnt(tmp_path / "with") == _learnt(tmp_path / "without")
    assert _same_weights(tmp_path / "with", tmp_path / "without")


def test_even_a_probe_that_draws_random_numbers_changes_nothing(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    states: list[Tensor] = []

    def greedy(*_: object) -> Any:
        def probe(state: Mapping[str, Tensor]) -> list[ProbeScore]:
            states.append(torch.random.get_rng_state())
            torch.rand(7)
            return []

        return probe

    def look(_: Path) -> None:
        states.append(torch.random.get_rng_state())

    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    pretrain(_watched(recipe), store, tmp_path / "without", _CPU)
    pretrain(
        _watched(recipe, probe_epochs=1),
        store,
        tmp_path / "with",
        _CPU,
        how=Manner(onlookers=Onlookers(greedy, look)),
    )
    assert len(states) == 9  # four probes, a page after each, and the last page
    assert all(torch.equal(states[n], states[n + 1]) for n in range(0, 8, 2))
    assert _learnt(tmp_path / "with") == _learnt(tmp_path / "without")
    assert _same_weights(tmp_path / "with", tmp_path / "without")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("every", "epochs"), [(2, [0, 2, 4, 5]), (10, [0, 5])])
def test_the_probe_comes_before_the_first_epoch_after_every_so_many_and_at_the_end(
    recipe: Recipe, store: Store, tmp_path: Path, every: int, epochs: list[int]
) -> None:
    def make(*_: object) -> Any:
        return lambda state: [
            ProbeScore("sex", "AUC", "higher", float(len(state)), float("nan"), 1.0, 0.5, 6)
        ]

    how = Manner(onlookers=Onlookers(make))
    pretrain(_watched(recipe, epochs=5, probe_epochs=every), store, tmp_path / "run", _CPU, how=how)
    lines = _of_kind(tmp_path / "run", "probe")
    assert [line["epochs_done"] for line in lines] == epochs
    assert [line["step"] for line in lines] == [2 * epoch for epoch in epochs]
    assert {line["low"] for line in lines} == {None}


@pytest.mark.parametrize("interrupted_in", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_resumed_run_has_the_probe_lines_of_a_run_never_stopped(
    recipe: Recipe, store: Store, tmp_path: Path, interrupted_in: int
) -> None:
    how, watched = Manner(onlookers=Onlookers(epoch_probe)), _watched(recipe, probe_epochs=1)
    pretrain(watched, store, tmp_path / "whole", _CPU, how=how)
    with pytest.raises(_Interruption):
        pretrain(watched, store, tmp_path / "broken", _CPU, _InterruptAt(interrupted_in), how=how)
    pretrain(watched, store, tmp_path / "broken", _CPU, how=how)
    whole, broken = (
        pd.DataFrame(_of_kind(tmp_path / name, "probe")).drop(columns="seconds")
        for name in ("whole", "broken")
    )
    pd.testing.assert_frame_equal(whole, broken)


def test_the_page_is_written_at_the_start_after_every_epoch_at_an_alarm_and_at_the_end(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    seen: list[tuple[int, int, bool]] = []

    def look(folder: Path) -> None:
        kinds = [line["kind"] for line in read_log(folder)]
        has_weights = (folder / "card.json").exists()
        seen.append((kinds.count("step"), kinds.count("alarm"), has_weights))

    how = Manner(onlookers=Onlookers(write_page=look))
    pretrain(_watched(recipe, **_ANY_RUN), store, tmp_path / "run", _CPU, how=how)
    assert seen == [
        (0, 0, False),
        (2, 0, False),
        (3, 1, False),
        (4, 1, False),
        (6, 1, False),
        (6, 1, True),
    ]
