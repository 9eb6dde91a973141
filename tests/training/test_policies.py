"""Every policy of views trains, from the same store, and goes on where it stopped."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from neurofm.config.recipe import Recipe, load_recipe
from neurofm.store.reader import Store
from neurofm.training.fit import Manner, pretrain
from neurofm.training.run_log import read_log

CPU = torch.device("cpu")


def with_views(recipe: Recipe, policy: str) -> Recipe:
    return recipe.model_copy(update={"views": load_recipe(policy).views})


@pytest.mark.parametrize(("policy", "steps"), [("simclr-as-coded", 4), ("simclr-anatomy", 2)])
def test_a_policy_trains(
    policy: str, steps: int, recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    told: list[str] = []
    effective = with_views(recipe, policy)
    pretrain(effective, store, tmp_path / "run", CPU, how=Manner(tell=told.append))
    lines = [line for line in read_log(tmp_path / "run") if line["kind"] == "step"]
    assert len(lines) == 3 * steps  # 12 scans or 6 participants in batches of 3
    assert all(math.isfinite(line["loss"]) for line in lines)
    in_vain = "slice thickness" if policy == "simclr-anatomy" else "intensity shift"
    assert [in_vain in line for line in told if "changes nothing" in line] == [True]


def test_the_second_scan_changes_what_is_learnt(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    losses = []
    for positive in ("same-scan", "second-scan"):
        views = recipe.views.model_copy(update={"positive": positive})
        run = tmp_path / positive
        pretrain(recipe.model_copy(update={"views": views}), store, run, CPU)
        losses.append([line["loss"] for line in read_log(run)])
    assert losses[0] != losses[1]
