"""Where there is nothing to find, nothing is found; and intervals and tests keep their promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurofm.data.targets import Target
from neurofm.evaluation.metrics import area_under_curve
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import Reader, cross_validate, predict_test_part

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_statistics.py"
_PEOPLE, _RUNS = 60, 20


def _shuffled(run: int) -> tuple[np.ndarray, Target]:
    """Two scans of everybody that look alike, and labels drawn by lot among the people."""
    stream = np.random.default_rng(run)
    people = np.repeat(np.arange(_PEOPLE), 2)
    labels = stream.permutation(np.arange(_PEOPLE) % 2)[people] * 1.0
    features = stream.normal(size=(_PEOPLE, 24))[people] + 0.3 * stream.normal(
        size=(len(people), 24)
    )
    keys = tuple(f"c/{person:03d}" for person in people)
    return features, Target(
        "lot", "binary", np.arange(len(people)), labels, ("a", "b"), people, keys, ()
    )


@pytest.mark.parametrize("reader", ["linear", "neighbours"])
@pytest.mark.parametrize("has_parts", [False, True])
def test_shuffled_labels_have_a_mean_auc_of_a_half(reader: Reader, has_parts: bool) -> None:
    areas = []
    for run in range(_RUNS):
        features, target = _shuffled(run)
        if has_parts:
            roles = np.array(["train", "train", "validation", "test", "test"], dtype=object)
            task = PartedTask(target, roles[target.participants % 5])
            outcome = predict_test_part(features, task, reader)
        else:
            outcome = cross_validate(features, target, 2, run, 0, reader)
        areas.append(area_under_curve(outcome, np.ones((1, len(outcome.target))))[0])
    assert np.mean(areas) == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_intervals_hold_the_truth_and_tests_reject_equality_as_often_as_they_say() -> None:
    """92 to 98 times in 100, and at most 6.5; two standard errors of 500 trials are allowed."""
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "500", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    for setting, rates in json.loads(done.stdout.splitlines()[-1]).items():
        for metric, share in rates["held"].items():
            assert 0.92 - 0.024 <= share <= 0.98 + 0.013, (setting, metric)
        if rates["rejected"] is not None:
            assert rates["rejected"] <= 0.065 + 0.022, setting
