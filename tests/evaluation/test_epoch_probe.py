"""The probe between epochs: which tasks, which scans, and that it finds what is there only."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from neurofm.cohorts.index import participant_keys
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import StoreError
from neurofm.evaluation.epoch_probe import EpochProbe, epoch_probe
from neurofm.models.embeddings import embed_store
from neurofm.models.encoder import build_encoder
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.store.shards import ShardPaths
from neurofm.training.fit import Manner, pretrain, seen_rows
from neurofm.training.onlookers import Onlookers
from neurofm.training.run_log import read_log

_CPU = torch.device("cpu")
_PEOPLE = 30


def _recipe(**sections: Any) -> Recipe:
    values = {
        "name": "tiny",
        "store": {"spacing_mm": 6},
        "encoder": {"widths": [4, 8, 8, 16]},
        "objective": {"projection_size": 8},
        "training": {"epochs": 1, "batch_size": 3},
        "evaluation": {"folds": 3},
    }
    return check_recipe(values | sections, where="a test")


@pytest.fixture(scope="module")
def packed(fake: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans of each of 30 participants, one participant a shard."""
    place = tmp_path_factory.mktemp("packed")
    derivatives = fake.write(place / "derivatives", 2 * _PEOPLE)
    pack(derivatives, place / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    return place / "store"


@pytest.fixture
def store(packed: Path) -> Store:
    """Without a label."""
    return _unlabelled(packed)


def _unlabelled(folder: Path) -> Store:
    opened = open_store(folder)
    for name in ("age_years", "sex", "diagnosis", "site"):
        opened.index[name] = None
    return opened


def _tensors(seed: int = 1) -> dict[str, Tensor]:
    """An objective's: an encoder among other things."""
    encoder = build_encoder(_recipe().encoder, seed=seed).state_dict()
    return {f"encoder.{name}": tensor for name, tensor in encoder.items()} | {
        "projector.0.weight": torch.ones(8, 16)
    }


def _by_person(store: Store, labels: list[Any]) -> list[Any]:
    """A label for each scan from one for each participant."""
    return [labels[place] for place in pd.factorize(participant_keys(store.index))[0]]


def _ages(store: Store) -> list[float]:
    stream = np.random.default_rng(0)
    return _by_person(store, list(stream.uniform(20, 80, _PEOPLE)))


def _half(store: Store, one: str, other: str) -> list[str]:
    return _by_person(store, [one, other] * (_PEOPLE // 2))


def _widest_feature(store: Store) -> np.ndarray:
    """Of the encoder of `_tensors`, standardised."""
    encoder = build_encoder(_recipe().encoder, seed=1)
    features = embed_store(encoder, store, range(len(store)), _CPU, SilentProgress())
    widest = features[:, int(features.std(axis=0).argmax())]
    return (widest - widest.mean()) / widest.std()


def _probe(store: Store, recipe: Recipe | None = None) -> EpochProbe:
    recipe = recipe or _recipe()
    probe = epoch_probe(recipe, store, seen_rows(recipe, store), _CPU)
    assert probe is not None
    return probe


def test_an_index_without_labels_and_of_one_site_has_no_probe(store: Store) -> None:
    assert epoch_probe(_recipe(), store, store.index, _CPU) is None


def test_the_tasks_are_age_sex_diagnosis_the_targets_of_the_recipe_and_the_site(
    store: Store,
) -> None:
    store.index["age_years"] = _ages(store)
    store.index["sex"] = _half(store, "F", "M")
    store.index["diagnosis"] = _by_person(store, ["H", "MCI", "AD"] * (_PEOPLE // 3))
    store.index["nihss"] = [age / 2 for age in _ages(store)]
    store.index["handedness"] = _half(store, "left", "right")
    store.index["site"] = _by_person(store, ["x"] * 15 + ["y"] * 15)
    recipe = _recipe(evaluation={"folds": 3, "targets": ["nihss", "not_there"]})
    targets = {target.task: target.kind for target in _probe(store, recipe).targets}
    assert targets == {
        "nihss": "regression",
        "age_years": "regression",
        "sex": "binary",
        "diagnosis": "multiclass",
        "site": "binary",
    }


@pytest.mark.parametrize("column", ["age_years", "sex", "diagnosis", "site"])
def test_one_label_is_enough_for_a_probe_of_it(store: Store, column: str) -> None:
    numbers = column == "age_years"
    store.index[column] = _ages(store) if numbers else _half(store, "a", "b")
    assert [target.task for target in _probe(store).targets] == [column]


def test_several_cohorts_are_several_sites(store: Store) -> None:
    store.index["cohort"] = _half(store, "IXI", "OASIS")
    (target,) = _probe(store).targets
    assert (target.task, target.classes) == ("site", ("IXI", "OASIS"))


def test_it_reads_one_scan_of_each_participant_and_no_more_participants_than_allowed(
    store: Store,
) -> None:
    store.index["sex"] = _half(store, "F", "M")
    keys = participant_keys(store.index)
    rows = _probe(store).rows
    assert len(rows) == _PEOPLE
    assert keys.iloc[list(rows)].nunique() == _PEOPLE
    sessions = store.index["session_id"].iloc[list(rows)]
    assert sessions.nunique() == 2  # not always the first one
    few = _probe(store, _recipe(health={"probe_participants": 14}))
    assert len(few.rows) == keys.iloc[list(few.rows)].nunique() == 14
    assert few.rows == rows[:14]
    assert len(few.targets[0].rows) == few.targets[0].num_participants == 14


def test_the_scans_depend_on_the_seed_and_their_names_and_not_on_the_order_of_the_index(
    store: Store,
) -> None:
    store.index["sex"] = _half(store, "F", "M")
    recipe = _recipe(health={"probe_participants": 14})
    rows = _probe(store, recipe).rows
    assert _probe(store, recipe).rows == rows
    turned = epoch_probe(recipe, store, store.index.iloc[::-1], _CPU)
    assert turned is not None
    assert turned.rows == rows
    assert _probe(store, recipe.model_copy(update={"seed": 5})).rows != rows


def test_participants_without_any_label_are_not_drawn(store: Store) -> None:
    ages = pd.Series(_ages(store))
    ages[:_PEOPLE] = np.nan
    store.index["age_years"] = ages
    probe = _probe(store, _recipe(health={"probe_participants": 15}))
    assert len(probe.rows) == 15
    assert min(probe.rows) >= _PEOPLE


def test_tasks_with_too_few_of_a_class_or_one_class_or_too_few_people_are_left_out(
    store: Store,
) -> None:
    """With 3 folds: a class needs 3 participants, a task 6."""
    store.index["sex"] = "F"
    store.index["diagnosis"] = _by_person(store, ["AD"] * 2 + ["H"] * (_PEOPLE - 2))
    few = pd.Series(_ages(store))
    few[10:] = np.nan
    store.index["age_years"] = few
    assert epoch_probe(_recipe(), store, store.index, _CPU) is None
    store.index["diagnosis"] = _by_person(store, ["rare"] * 2 + ["AD"] * 8 + ["H"] * 20)
    (target,) = _probe(store).targets
    assert (target.task, target.classes, target.num_participants) == ("diagnosis", ("H", "AD"), 28)
    (score,) = _probe(store)(_tensors())
    assert (score.task, score.participants) == ("diagnosis", 28)


def test_a_label_that_some_participants_lack_is_probed_over_the_others(store: Store) -> None:
    """And each is read from the features of its own scan."""
    ages = pd.Series(50 + 10 * _widest_feature(store))
    ages[:20] = np.nan
    store.index["age_years"], store.index["sex"] = ages, _half(store, "F", "M")
    scores = {score.task: score for score in _probe(store)(_tensors())}
    assert (scores["age_years"].participants, scores["sex"].participants) == (20, 30)
    assert scores["age_years"].high < 0.9 * scores["age_years"].chance


def test_what_the_features_hold_is_read(store: Store) -> None:
    """Sex and age follow from a feature."""
    feature = _widest_feature(store)
    store.index["sex"] = np.where(feature > np.median(feature), "F", "M")
    store.index["age_years"] = 50 + 10 * feature
    age, sex = _probe(store)(_tensors())
    assert (age.task, age.metric, age.better) == ("age_years", "MAE", "lower")
    assert (sex.task, sex.metric, sex.better) == ("sex", "AUC", "higher")
    assert age.low <= age.value <= age.high < 0.5 * age.chance
    assert sex.chance == 0.5 < sex.low <= sex.value <= sex.high
    assert sex.value > 0.9


def test_labels_drawn_by_lot_are_read_no_better_than_chance(store: Store) -> None:
    """The 95 % band holds the chance level for most of 16 lots, and their mean is near it."""
    stream, names = np.random.default_rng(4), [f"lot{number}" for number in range(16)]
    for name in names:
        store.index[name] = _by_person(store, list(stream.permutation(["H", "AD"] * 15)))
    scores = _probe(store, _recipe(evaluation={"folds": 3, "targets": names}))(_tensors())
    assert [score.task for score in scores] == names
    assert {score.chance for score in scores} == {0.5}
    assert sum(score.low <= 0.5 <= score.high for score in scores) >= 13
    assert np.mean([score.value for score in scores]) == pytest.approx(0.5, abs=0.1)


def test_the_chance_level_of_age_is_the_error_of_the_mean_of_the_others(store: Store) -> None:
    """With as many folds as half the people, nearly that of the mean of all."""
    store.index["age_years"] = _ages(store)
    (score,) = _probe(store, _recipe(evaluation={"folds": 15}))(_tensors())
    ages = np.array(_ages(store))[::2]
    left_out = [abs(age - np.delete(ages, place).mean()) for place, age in enumerate(ages)]
    assert score.chance == pytest.approx(np.mean(left_out), rel=0.05)


def test_the_same_weights_give_the_same_scores_and_others_others(store: Store) -> None:
    store.index["age_years"] = _ages(store)
    probe = _probe(store)
    assert probe(_tensors()) == probe(_tensors())
    assert probe(_tensors(seed=2))[0].value != probe(_tensors())[0].value
    assert _probe(store)(_tensors()) == probe(_tensors())


def test_the_tensors_it_is_given_stay_as_they_are(store: Store) -> None:
    store.index["sex"] = _half(store, "F", "M")
    given, before = _tensors(), _tensors()
    _probe(store)(given)
    assert given.keys() == before.keys()
    assert all(torch.equal(given[name], before[name]) for name in given)


@pytest.mark.parametrize("value", [0.0, 1e30, float("nan")])
def test_an_encoder_without_any_sense_gives_chance_and_no_error(store: Store, value: float) -> None:
    """Collapsed, overflowing, broken: the run has its own alarms for these."""
    store.index["age_years"], store.index["sex"] = _ages(store), _half(store, "F", "M")
    senseless = {
        name: torch.full_like(tensor, value) if tensor.is_floating_point() else tensor
        for name, tensor in _tensors().items()
    }
    for score in _probe(store)(senseless):
        assert score.value == pytest.approx(score.chance, rel=0.05)


def test_held_out_participants_are_never_read_in_a_run(packed: Path, tmp_path: Path) -> None:
    """Their volumes are gone, so reading one would end the run; their labels are traps."""
    store = _unlabelled(Path(shutil.copytree(packed, tmp_path / "store")))
    recipe = _recipe(health={"probe_epochs": 1})
    people = sorted(set(participant_keys(store.index)))
    traps = {people[3]: "held-out", people[8]: "test", people[20]: "validation"}
    keys = participant_keys(store.index)
    trapped = keys.isin(list(traps))
    store.index["split"] = [traps.get(key, "pretrain") for key in keys]
    store.index["sex"] = _half(store, "F", "M")
    store.index.loc[trapped, "sex"] = "trap"
    store.index["age_years"] = _ages(store)
    store.index.loc[trapped, "age_years"] = 1e6
    for shard in store.index.loc[trapped, "shard"].unique():
        ShardPaths(store.folder, int(shard)).images.unlink()
    with pytest.raises(StoreError, match="cannot be opened"):
        embed_store(build_encoder(recipe.encoder, seed=0), store, [6], _CPU, SilentProgress())
    assert set(store.index.index[trapped]) == {6, 7, 16, 17, 40, 41}
    run = tmp_path / "run"
    pretrain(recipe, store, run, _CPU, how=Manner(onlookers=Onlookers(epoch_probe)))
    lines = [line for line in read_log(run) if line["kind"] == "probe"]
    assert [(line["task"], line["epochs_done"]) for line in lines] == [
        ("age_years", 0),
        ("sex", 0),
        ("age_years", 1),
        ("sex", 1),
    ]
    assert {line["participants"] for line in lines} == {_PEOPLE - 3}
    assert all(line["value"] < 100 for line in lines)
    probe = _probe(store, recipe)
    assert not set(probe.rows) & set(store.index.index[trapped])
    assert all("trap" not in target.classes for target in probe.targets)
    everyone = epoch_probe(recipe, store, store.index, _CPU)
    assert everyone is not None
    with pytest.raises(StoreError):  # so the test would have noticed
        everyone(_tensors())
