"""A scan that cannot be used costs its step, on every feed, resumed or not; many end the run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from neurofm.augment import feed as feed_module
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import RunError
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.checkpoints import find_checkpoint
from neurofm.training.fit import Manner, pretrain
from neurofm.training.position import Position
from neurofm.training.run_log import read_log

_CPU = torch.device("cpu")
_TIMES = ("seconds", "pairs_per_second", "data_wait_share")


class _Interruption(Exception):
    """Stands for anything that ends a run in the middle."""


class _At(SilentProgress):
    """Ends a run in a step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if not self._left:
            raise _Interruption


@pytest.fixture
def store(fake: SimpleNamespace, tmp_path: Path) -> Store:
    """12 scans of 6 participants, two in a shard: row 2k and 2k + 1 are those of participant k."""
    derivatives = fake.write(tmp_path / "derivatives", 12)
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    return open_store(tmp_path / "store")


@pytest.fixture
def short(recipe: Recipe) -> Recipe:
    """Four epochs of three steps with two participants each."""
    return _changed(recipe, epochs=4, batch_size=2, checkpoint_steps=1)


def _changed(recipe: Recipe, **training: Any) -> Recipe:
    values = recipe.model_dump(mode="json")
    return Recipe.model_validate(values | {"training": values["training"] | training})


def _without_brain(store: Store, *participants: int) -> Store:
    """The same store, but neither scan of these participants has a brain any more."""
    for number in participants:
        path = store.folder / "shards" / f"{number:05d}-masks.npy"
        np.save(path, np.zeros_like(np.load(path)))
    return open_store(store.folder)


def _without_file(store: Store, participant: int) -> Store:
    """The store, opened while its files were there, after one went away."""
    (store.folder / "shards" / f"{participant:05d}-images.npy").unlink()
    return store


def _steps(folder: Path) -> list[dict[str, Any]]:
    """The steps of the log without durations."""
    lines = [line for line in read_log(folder) if line["kind"] == "step"]
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]


def _same_run(one: Path, other: Path) -> bool:
    first, second = load_weights(one).state, load_weights(other).state
    listed = [(folder / "bad_scans.json").read_bytes() for folder in (one, other)]
    is_same = _steps(one) == _steps(other) and listed[0] == listed[1]
    return is_same and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(params=["compiled", "torch"])
def maker_of_views(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(feed_module, "find_spec", lambda _name: None)
    return str(request.param)


@pytest.mark.usefixtures("maker_of_views")
@pytest.mark.parametrize("fault", ["no file", "no brain"])
def test_a_scan_that_cannot_be_used_costs_its_step_and_is_named(
    short: Recipe, store: Store, tmp_path: Path, fault: str
) -> None:
    """Case P7: views made ahead by compiled code, and by torch."""
    damaged = _without_file(store, 1) if fault == "no file" else _without_brain(store, 1)
    done = pretrain(short, damaged, tmp_path / "run", _CPU)
    steps = _steps(tmp_path / "run")
    skipped = [step for step in steps if step["skipped_steps"]]
    assert (len(steps), len(skipped)) == (12, 4)  # each epoch sees the participant once
    for step in skipped:
        (name,) = step["skipped_scans"]
        assert name.startswith("fake_p01_")
        assert step["loss"] is None
    listed = json.loads((tmp_path / "run" / "bad_scans.json").read_text())
    assert {each["scan"] for each in listed} == {step["skipped_scans"][0] for step in skipped}
    assert listed[0]["step"] == skipped[0]["step"]
    assert ("cannot be read" if fault == "no file" else "no usable view") in listed[0]["reason"]
    assert (done.skipped_steps, done.bad_scans) == (4, len(listed))
    assert f"4 steps were skipped: {len(listed)} scans could not be used" in done.notes[0]


@pytest.mark.parametrize(
    "step", [*(pytest.param(step, marks=pytest.mark.slow) for step in (1, 3, 8)), 5]
)
def test_an_interrupted_run_with_bad_scans_equals_an_uninterrupted_one(
    short: Recipe, store: Store, tmp_path: Path, step: int
) -> None:
    """Cases P7 and P2."""
    damaged = _without_brain(store, 1, 4)
    short = _changed(short, checkpoint_steps=2, max_skipped_in_a_row=9)
    pretrain(short, damaged, tmp_path / "whole", _CPU, how=Manner(threads=0))
    with pytest.raises(_Interruption):
        pretrain(short, damaged, tmp_path / "broken", _CPU, _At(step))
    pretrain(short, damaged, tmp_path / "broken", _CPU, how=Manner(threads=3))
    assert _same_run(tmp_path / "broken", tmp_path / "whole")


def test_more_bad_scans_than_allowed_end_the_run_before_their_step(
    short: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case P7: also where some were found by an earlier call; once mended, the run is the same."""
    pretrain(short, store, tmp_path / "whole", _CPU)
    pristine = {path: path.read_bytes() for path in (store.folder / "shards").iterdir()}
    folder, strict = tmp_path / "run", _changed(short, max_bad_scans=1)
    damaged = _without_brain(store, 0, 1, 2, 3, 4, 5)
    for _ in range(2):
        with pytest.raises(RunError, match=r"2 scans could not be used, and training\.max_bad_sca"):
            pretrain(strict, damaged, folder, _CPU)
        found = find_checkpoint(folder)
        assert found is not None
        assert found.checkpoint.position == Position()
        assert len(json.loads((folder / "bad_scans.json").read_text())) == 2
    for path, content in pristine.items():
        path.write_bytes(content)
    pretrain(strict, open_store(store.folder), folder, _CPU)
    assert _same_weights_and_losses(folder, tmp_path / "whole")
    assert json.loads((folder / "bad_scans.json").read_text()) == []


def _same_weights_and_losses(one: Path, other: Path) -> bool:
    first, second = load_weights(one).state, load_weights(other).state
    return _steps(one) == _steps(other) and all(torch.equal(first[n], second[n]) for n in first)


def test_no_bad_scan_is_allowed_where_the_recipe_says_so_and_a_higher_limit_goes_on(
    short: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case P7: the limit counts what earlier calls found."""
    damaged, folder = _without_brain(store, 1), tmp_path / "run"
    pretrain(short, damaged, tmp_path / "whole", _CPU)
    expected = json.loads((tmp_path / "whole" / "bad_scans.json").read_text())
    assert len(expected) == 2, "the test needs both scans of the participant to be drawn"
    for limit, bad in enumerate(expected):
        with pytest.raises(RunError, match=rf"{limit + 1} scans .*{bad['scan']}.*pack --verify"):
            pretrain(_changed(short, max_bad_scans=limit), damaged, folder, _CPU)
        found = find_checkpoint(folder)
        assert found is not None
        assert found.checkpoint.position.step == bad["step"] - 1
        assert len(found.checkpoint.position.bad_scans) == limit
    pretrain(short, damaged, folder, _CPU)
    assert _same_run(folder, tmp_path / "whole")


def test_a_run_that_every_step_has_to_do_without_a_scan_ends(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case P7: nothing would be learnt."""
    whole_batch = _changed(recipe, epochs=5, batch_size=6)
    with pytest.raises(RunError, match="3 steps in a row gave no finite loss .* fake_p01_s"):
        pretrain(whole_batch, _without_brain(store, 1), tmp_path / "run", _CPU)
