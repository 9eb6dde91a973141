"""The epoch is chosen on validation; the scores kept for intervals must not flatter it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurofm.config.tuning import ChoosingConfig
from neurofm.models.conformal import score_limit
from neurofm.models.head import HeadCard
from neurofm.training.conformity import NO_SCORES, Judged, KeptScores, honest_scores
from neurofm.training.task import Task

AUTO = ChoosingConfig()


def _task(values: np.ndarray, scans_each: int = 1, classes: tuple[str, ...] = ()) -> Task:
    people = [f"p{place // scans_each:03d}" for place in range(len(values))]
    frame = pd.DataFrame(
        {"cohort": "c", "participant_id": people,
         "scan_id": [f"s{place}" for place in range(len(values))],
         "sha256": [f"{place:064x}" for place in range(len(values))]}
    )  # fmt: skip
    head = HeadCard(target="x", kind="binary" if classes else "regression", classes=classes)
    return Task(head, dict(enumerate(values.tolist())), (), frame, frame, frame, ())


def _epochs(errors: np.ndarray) -> list[Judged]:
    return [Judged(row[:, None], row**2) for row in errors]


def test_intervals_cover_new_people_although_validation_chose_the_epoch() -> None:
    """20 epochs of equal worth whose errors share half of their variance, at 90 %, 120 runs."""
    people, stream, honest, flattered = 40, np.random.default_rng(0), [], []
    for _ in range(120):
        errors = [np.sqrt(0.5) * (stream.normal(size=(20, n)) + stream.normal(size=n))
                  for n in (people, 500)]  # fmt: skip
        seen, new = errors
        scores = honest_scores(_task(np.zeros(people)), AUTO, _epochs(seen)).scores
        best = int((seen**2).mean(axis=1).argmin())
        beyond = np.abs(new[best])
        honest.append(np.mean(beyond <= score_limit(scores, 0.9)))
        flattered.append(np.mean(beyond <= score_limit(np.abs(seen[best]).tolist(), 0.9)))
    assert abs(np.mean(honest) - 0.9) < 0.02
    assert np.mean(flattered) < np.mean(honest) - 0.02


def test_one_epoch_gives_its_own_errors_with_their_signs() -> None:
    errors = np.array([3.0, -1.0, 2.0, 0.5])
    kept = honest_scores(_task(np.zeros(4)), AUTO, _epochs(errors[None]))
    assert sorted(kept.scores) == [-1.0, 0.5, 2.0, 3.0]
    assert score_limit(kept.scores, 0.6) == 2.0


def test_runs_on_the_same_scans_share_an_order_that_no_other_scans_give() -> None:
    errors = np.arange(1.0, 31.0)
    task, epochs = _task(np.zeros(30)), _epochs(errors[None])
    kept = honest_scores(task, AUTO, epochs)
    assert list(kept.scores) not in (errors.tolist(), errors[::-1].tolist())
    again = honest_scores(task, AUTO, _epochs(2 * errors[None]))
    assert again.people == kept.people
    assert again.scores == tuple(2 * each for each in kept.scores)
    turned = replace(task, validation=task.validation.iloc[::-1])
    assert honest_scores(turned, AUTO, _epochs(errors[None, ::-1])) == kept
    sums = ["f" * 64, *task.validation["sha256"][1:]]
    other = replace(task, validation=task.validation.assign(sha256=sums))
    found = honest_scores(other, AUTO, epochs)
    assert found.people != kept.people
    assert found.scores != kept.scores
    assert sorted(found.scores) == sorted(kept.scores)


def test_where_a_checksum_is_not_known_the_order_says_nothing() -> None:
    errors = np.array([3.0, -1.0, 2.0, 0.5])
    task = _task(np.zeros(4))
    sums = ["a" * 64, None, "b" * 64, "c" * 64]
    unknown = replace(task, validation=task.validation.assign(sha256=sums))
    kept = honest_scores(unknown, AUTO, _epochs(errors[None]))
    assert kept == KeptScores((-1.0, 0.5, 2.0, 3.0))


def test_a_participant_counts_once_and_the_draw_does_not_follow_the_order_of_rows() -> None:
    errors = np.arange(1.0, 31.0)
    kept = honest_scores(_task(np.zeros(30), scans_each=3), AUTO, _epochs(errors[None]))
    scores = sorted(kept.scores)
    assert len(scores) == 10
    assert all(3 * place < score <= 3 * place + 3 for place, score in enumerate(scores))
    assert len({score % 3 for score in scores}) > 1


def test_a_class_of_one_person_does_not_stop_the_scores() -> None:
    known = np.array([1.0] + [0.0] * 8)
    positive = np.linspace(0.9, 0.1, 9)
    said = np.stack([1 - positive, positive], axis=1)
    epochs = [Judged(said, np.ones(9)), Judged(said[::-1], np.ones(9))]
    kept = honest_scores(_task(known, classes=("H", "AD")), AUTO, epochs)
    assert sorted(kept.scores) == pytest.approx(sorted(np.where(known, 1 - positive, positive)))


def test_numbers_that_are_not_finite_leave_no_scores() -> None:
    epochs = _epochs(np.array([[1.0, np.nan, 2.0]]))
    assert honest_scores(_task(np.zeros(3)), AUTO, epochs) == NO_SCORES
