"""Rows without a run: the paper's layer, the neighbours, encoders that others published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neurofm.config.encoders import MonaiResNetConfig, ResNetConfig
from neurofm.config.study import StudyConfig, effective_recipe
from neurofm.errors import WeightsError
from neurofm.evaluation.baselines import NEAREST, OF_PAPER, PRETRAINED, RANDOM
from neurofm.evaluation.given import Given
from neurofm.evaluation.protocol import evaluate
from neurofm.models.adapters import Adapted, Adapter, Origin, State, find_adapter
from neurofm.models.checkpoint_import import import_checkpoint
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.study.cells import cell_folder, trained_places
from neurofm.study.opened import Allowed, open_study
from neurofm.study.probes import Encoding, random_rows
from neurofm.study.record import encoder_probe, read_study
from neurofm.study.running import Machinery, run_study

_HERE = Machinery(workers=0, device="cpu")
_MODELS = [
    {"name": "the paper's layer", "encoder": "simclr", "probe": "paper"},
    {"name": "neighbours", "encoder": "simclr", "probe": "neighbours"},
    {"name": "MedicalNet", "encoder": "medicalnet"},
    {"name": "theirs, fine-tuned", "encoder": "theirs", "recipe": "finetune-simclr"},
]
_PRETRAINING = {"simclr": {"recipe": "simclr-paper"}, "medicalnet": {}, "theirs": {}}


def _import(folder: Path, config: ResNetConfig | MonaiResNetConfig, adapter: Adapter) -> Path:
    state = build_encoder(config, seed=1).state_dict()
    folder.mkdir()
    torch.save({"state_dict": state}, folder / "their.pth")
    import_checkpoint(folder / "their.pth", folder / "weights", adapter=adapter)
    return folder / "weights"


@pytest.fixture(scope="module")
def weights(study_place: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The pre-trained encoder, and two imported ones: of MedicalNet's layout, and of another."""
    folder = tmp_path_factory.mktemp("imported")
    resnet = ResNetConfig(widths=(4, 8, 8, 16), stem_stride=2)
    monai = MonaiResNetConfig(
        blocks=(1, 1, 1, 1), widths=(4, 4, 8, 8), stem_stride=2, shortcut_bias=False
    )

    def medicalnet(state: State) -> Adapted:
        adapted = find_adapter(state).adapt(state)
        return replace(adapted, origin=replace(adapted.origin, spacing_mm=6.0))

    def other(state: State) -> Adapted:
        origin = Origin("Theirs.", "", "Them S, 2025", "CC0", spacing_mm=6.0)
        return Adapted(resnet, {f"encoder.{name}": one for name, one in state.items()}, origin)

    return study_place.weights | {
        "medicalnet": _import(folder / "m", monai, Adapter("m", lambda _: True, medicalnet)),
        "theirs": _import(folder / "o", resnet, Adapter("o", lambda _: True, other)),
    }


@pytest.fixture(scope="module")
def study(study_place: SimpleNamespace) -> StudyConfig:
    return study_place.kit.study(  # type: ignore[no-any-return]
        pretraining=_PRETRAINING, models=_MODELS, tasks=study_place.kit.values["tasks"][:1],
        ours="neighbours",
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(
    study_place: SimpleNamespace, study: StudyConfig, weights: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    folder = tmp_path_factory.mktemp("probes") / "out"
    assert not run_study(study, study_place.store, weights, folder, _HERE)[1]
    return folder


def _said(predictions: pd.DataFrame, model: str, seed: int) -> np.ndarray:
    rows = predictions[(predictions["model"] == model) & (predictions["seed"] == seed)]
    return np.stack(rows.sort_values("scan_id")["probabilities"].to_list())


@pytest.fixture(scope="module")
def predictions(finished: Path) -> pd.DataFrame:
    found = pd.read_parquet(finished / "predictions.parquet")
    return found[(found["task"] == "sex") & (found["fraction"] == 1)]


def test_the_papers_layer_and_the_neighbours_say_what_they_say_in_an_evaluation(
    predictions: pd.DataFrame, study: StudyConfig, study_place: SimpleNamespace, tmp_path: Path
) -> None:
    asked = {"parts": "task", "targets": ["sex"], "probe": "both", "seeds": study.seeds}
    recipe = effective_recipe(study, "simclr-paper", {"evaluation": asked})
    evaluate(recipe, study_place.store, [Given(study_place.weights["simclr"])], tmp_path / "e")
    other = pd.read_parquet(tmp_path / "e" / "predictions.parquet")
    other = other[other["task"] == "sex"]
    for seed in range(2):
        own = _said(predictions, "the paper's layer", seed)
        assert own == pytest.approx(_said(other, f"{PRETRAINED}, {OF_PAPER}", seed), abs=1e-6)
    assert _said(predictions, "neighbours", 0) == pytest.approx(
        _said(other, f"{PRETRAINED}, {NEAREST}", 0), abs=1e-6
    )


def test_only_the_papers_layer_is_drawn_again_for_each_run(finished: Path) -> None:
    found = pd.read_parquet(finished / "predictions.parquet")
    found = found[found["task"] == "sex"]
    runs = found.groupby(["model", "fraction"])["seed"].nunique()
    assert dict(runs["the paper's layer"]) == {0.5: 1, 1.0: 2}
    assert dict(runs["neighbours"]) == dict(runs["MedicalNet"]) == {0.5: 1, 1.0: 1}
    whole = found[found["fraction"] == 1]
    assert (_said(whole, "the paper's layer", 0) != _said(whole, "the paper's layer", 1)).any()


def test_each_architecture_has_a_row_of_its_random_weights(
    finished: Path, predictions: pd.DataFrame
) -> None:
    """The encoders simclr and theirs are of one architecture."""
    expected = {f"{RANDOM}, as of simclr", f"{RANDOM}, as of medicalnet"}
    assert {model for model in predictions["model"] if RANDOM in model} == expected
    ours, medicalnet = (_said(predictions, name, 0) for name in sorted(expected, reverse=True))
    assert not np.allclose(ours, medicalnet)
    sites = pd.read_parquet(finished / "predictions.parquet").query("task == 'site'")
    assert expected < set(sites["model"])


def test_an_architecture_that_only_trains_from_scratch_has_a_row_of_random_weights_too(
    study_place: SimpleNamespace, tmp_path: Path
) -> None:
    kit = study_place.kit
    models = [
        {
            "name": name,
            "recipe": "finetune-simclr",
            "changes": {"encoder": {"norm": norm, "norm_groups": 4}},
        }
        for name, norm in (("plain", "batch"), ("the same", "batch"), ("other", "group"))
    ]
    study = kit.study(models=models, tasks=kit.values["tasks"][:1], fractions=[1.0], seeds=1)
    opened = open_study(study, study_place.store, {}, Allowed())
    rows = random_rows(Encoding(opened, tmp_path, "cpu", SilentProgress()))
    assert [row.name for row in rows] == [f"{RANDOM}, as of plain", f"{RANDOM}, as of other"]
    assert all(len(row.repeats) == study.evaluation.seeds for row in rows)
    one = kit.study(models=models[:2], tasks=kit.values["tasks"][:1], fractions=[1.0], seeds=1)
    opened = open_study(one, study_place.store, {}, Allowed())
    (row,) = random_rows(Encoding(opened, tmp_path, "cpu", SilentProgress()))
    assert row.name == RANDOM
    assert np.array_equal(row.repeats[0], rows[0].repeats[0])


def test_imported_weights_are_probed_and_fine_tuned_with_what_is_known_of_them(
    finished: Path, predictions: pd.DataFrame, study: StudyConfig, weights: dict[str, Path]
) -> None:
    record = read_study(finished)
    theirs = {each.model: each for each in record.encoders}
    assert theirs["medicalnet"].encoder == "monai-resnet"
    assert theirs["medicalnet"].citation.startswith("Chen S")
    assert (theirs["theirs"].terms, theirs["theirs"].overlap) == ("CC0", None)
    for name in ("medicalnet", "theirs"):
        told = [text for text in record.warnings if text.startswith(f"{name}: ")]
        assert any("do not say which participants" in text for text in told)
        assert any("how their scans were preprocessed" in text for text in told)
        assert (finished / f"embeddings-{name}.parquet").is_file()
    assert np.isfinite(_said(predictions, "MedicalNet", 0)).all()
    place = next(place for _, _, place in trained_places(study))
    card = load_weights(finished / cell_folder(place) / "run").card
    assert card.started_from == load_weights(weights["theirs"]).card.weights_sha256
    sites = pd.read_parquet(finished / "predictions.parquet").query("task == 'site'")
    assert {encoder_probe(name) for name in weights} < set(sites["model"])


def test_a_network_that_is_not_trained_stops_a_study_before_it_begins(
    study_place: SimpleNamespace, weights: dict[str, Path], tmp_path: Path
) -> None:
    models = [*_MODELS, {"name": "x", "encoder": "medicalnet", "recipe": "finetune-simclr"}]
    study = study_place.kit.study(pretraining=_PRETRAINING, models=models)
    with pytest.raises(WeightsError, match="a network that neurofm uses but does not train"):
        run_study(study, study_place.store, weights, tmp_path / "out", _HERE)
    assert not (tmp_path / "out").exists()
