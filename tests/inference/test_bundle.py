"""A bundle is made whole, tells nothing private, and shows whether another machine agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurofm.commands.doctor import doctor
from neurofm.config import PhantomConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import WeightsError
from neurofm.inference.bundle import Said, make_bundle
from neurofm.inference.doctor_golden import examine_installation
from neurofm.inference.golden import read_golden
from neurofm.models.card import Card, Metric, Metrics, read_card
from neurofm.models.checksums import CHECKSUMS_FILE, PARTS, write_checksums
from neurofm.models.encoder import build_encoder
from neurofm.models.population import fit_population, population_in, population_tensors
from neurofm.models.weights import load_weights, save_weights
from neurofm.preprocess.contract import contract_of

PHANTOM = PhantomConfig(participants=1, spacing_mm=4.0, stripped=True)
METRICS = Metrics(
    evaluation="probe", recipe_fingerprint="r" * 16, contract_fingerprint="c" * 16,
    participants={"ward": 12}, overlap=None, warnings=("Few people.",),
    numbers=(
        Metric(task="sex", model="pre-trained encoder", metric="AUC", better="higher",
               value=0.8125, low=0.7, high=0.9, participants=12),
        Metric(task="age_years", model="pre-trained encoder", metric="MAE", better="lower",
               value=None, participants=11, note="one scan"),
    ),
)  # fmt: skip


def write_run(folder: Path, tiny_recipe: Recipe, **changes: Any) -> Path:
    contract = contract_of(tiny_recipe.preprocess)
    card = Card(
        encoder=tiny_recipe.encoder, features=16, spacing_mm=6.0, description="A tiny encoder.",
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
        recipe=tiny_recipe.model_dump(mode="json"),
    )  # fmt: skip
    state = build_encoder(tiny_recipe.encoder, seed=1).state_dict()
    tensors = {f"encoder.{name}": tensor for name, tensor in state.items()}
    people = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    tensors |= population_tensors(fit_population(people))
    save_weights(folder, tensors, card.model_copy(update=changes))
    return folder


@pytest.fixture(scope="module")
def bundle(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    said = Said(terms="CC-BY 4.0", intended_use="Research.")
    make_bundle(write_run(folder / "run", tiny_recipe), folder / "bundle", said, PHANTOM, METRICS)
    return folder / "bundle"


def test_a_bundle_holds_its_parts_and_loads_as_the_run_did(bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == sorted([*PARTS, CHECKSUMS_FILE])
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["bundle", "run"]
    run, loaded = load_weights(bundle.parent / "run"), load_weights(bundle)
    assert all(torch.equal(run.state[name], loaded.state[name]) for name in run.state)
    assert run.state.keys() == loaded.state.keys()
    population = population_in(loaded.state)
    assert population is not None
    assert len(population.distances) == 30
    assert loaded.card == run.card.model_copy(
        update={"terms": "CC-BY 4.0", "intended_use": "Research.", "metrics": METRICS}
    )


def test_the_model_card_says_what_the_card_says_and_nothing_of_this_machine(bundle: Path) -> None:
    text = (bundle / "MODEL_CARD.md").read_text()
    for told in (
        "A tiny encoder.",
        "CC-BY 4.0",
        "Research.",
        "- registration: ants-rigid, version 4",
    ):
        assert told in text
    for path in bundle.iterdir():
        assert str(bundle.parents[1]).encode() not in path.read_bytes()


def test_the_numbers_of_an_evaluation_stand_in_the_model_card(bundle: Path) -> None:
    text = (bundle / "MODEL_CARD.md").read_text()
    for told in (
        "| ward | 12 |", "### sex (12 participants)", "- these weights: unknown", "- Few people.",
        "| pre-trained encoder | AUC | 0.812 | 0.7 to 0.9 |",
        "| pre-trained encoder | MAE | n/a (one scan) |  |",
    ):  # fmt: skip
        assert told in text


def test_this_installation_reproduces_the_golden_embedding(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(weights=bundle) == 0
    printed = capsys.readouterr().out
    assert printed.count("the same to the last bit") == 6
    assert printed.endswith("Verdict: can be used\n")


def test_the_step_that_differs_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = read_golden(bundle)
    moved = [
        step.model_copy(update={"sha256": "other", "values": tuple(v + off for v in step.values)})
        for step, off in zip(golden.steps, (0, 1e-9, 1.0, 1.0, 1.0, 1.0), strict=True)
    ]
    found = golden.model_copy(
        update={"steps": tuple(moved), "software": golden.software | {"numpy": "0.1"}}
    )
    monkeypatch.setattr("neurofm.inference.doctor_golden.make_golden", lambda *_: found)
    diagnosis = examine_installation(bundle)
    assert "does not reproduce" in diagnosis.verdict
    assert "first step that differs is the brain mask" in diagnosis.verdict
    (numpy,) = [f for s in diagnosis.sections for f in s.findings if f.label == "numpy"]
    assert numpy.value.startswith("0.1 here")


def test_weights_that_are_no_bundle_have_nothing_to_compare(bundle: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no golden.json.*neurofm bundle"):
        examine_installation(bundle.parent / "run")


def test_a_golden_scan_of_another_version_is_refused(bundle: Path, tmp_path: Path) -> None:
    for part in bundle.iterdir():
        (tmp_path / part.name).write_bytes(part.read_bytes())
    golden = json.loads((tmp_path / "golden.json").read_text())
    changes = ({"new": 1}, "'new'"), ({"steps": golden["steps"][1:]}, "other steps")
    for change, message in changes:
        (tmp_path / "golden.json").write_text(json.dumps(golden | change))
        write_checksums(tmp_path)
        with pytest.raises(WeightsError, match=message):
            examine_installation(tmp_path)


def test_what_is_there_is_not_overwritten(bundle: Path) -> None:
    before = (bundle / "card.json").read_bytes()
    with pytest.raises(WeightsError, match="holds something already"):
        make_bundle(bundle.parent / "run", bundle)
    assert (bundle / "card.json").read_bytes() == before


def test_private_words_stop_a_bundle_before_any_work(tiny_recipe: Recipe, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", tiny_recipe, source="copied from /data/ward")
    with pytest.raises(WeightsError, match="'source' holds a path"):
        make_bundle(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    assert read_card(run).source
