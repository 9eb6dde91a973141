"""The AUC that chooses an epoch is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from neurofm.config.tuning import ChoosingConfig
from neurofm.models.head import HeadCard
from neurofm.training.task import Task
from neurofm.training.validation_metrics import choose_metric


@pytest.mark.parametrize("classes", [("H", "AD"), ("H", "MCI", "AD")])
def test_with_ties_and_several_scans_of_a_person(classes: tuple[str, ...]) -> None:
    stream = np.random.default_rng(0)
    known = stream.integers(0, len(classes), 40)
    said = np.round(stream.dirichlet(np.ones(len(classes)), 40), 1)
    people = np.arange(40) // 3
    frame = pd.DataFrame({"cohort": "c", "participant_id": people.astype(str)})
    kind = "binary" if len(classes) == 2 else "multiclass"
    head = HeadCard(target="diagnosis", kind=kind, classes=classes)
    values = dict(enumerate(known.astype(float).tolist()))
    task = Task(head, values, (), frame, frame, frame, ())
    choice = choose_metric(task, ChoosingConfig())
    weights = 1 / np.bincount(people)[people]
    expected = [
        roc_auc_score(known == label, said[:, label], sample_weight=weights)
        for label in ((1,) if len(classes) == 2 else range(3))
    ]
    assert choice.compute(known.astype(float), said) == pytest.approx(np.mean(expected))
