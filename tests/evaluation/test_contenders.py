"""What a network itself says of the test part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurofm.cohorts.task_roles import TEST, TRAIN
from neurofm.evaluation.contenders import AsTrained
from neurofm.evaluation.parts import divide


@pytest.mark.parametrize(("balanced", "decides_for"), [(True, 1.0), (False, 0.0)])
def test_class_sizes_are_taken_out_of_a_decision_unless_training_had_balanced_them(
    kit: Any, balanced: bool, decides_for: float
) -> None:
    number = kit.store.index["participant_id"].str[1:].astype(int)
    kit.store.index["rare"] = ["H" if each % 4 == 0 else "AD" for each in number]
    task = divide(kit.store.index, "rare", kit.recipe().split)
    train = task.target_of(TRAIN)
    share = np.mean([train.values[train.participants == p][0] for p in set(train.participants)])
    assert share > 0.6
    said = np.tile([0.4, 0.6], (len(kit.store.index), 1))
    outcome = AsTrained("network", (said,), (balanced,), (1.0,)).outcome(task, 0)
    assert (outcome.prediction == decides_for).all()
    assert list(outcome.target) == list(task.target_of(TEST).values)
    assert outcome.probabilities == pytest.approx(said[: len(outcome.target)])
