"""Studies: the published experiment's values, what is laid over what, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.objectives import MAEConfig, SimCLRConfig, SupervisedConfig
from neurofm.config.recipe import Recipe, load_recipe
from neurofm.config.study import (
    StudyConfig,
    effective_recipe,
    laid_over,
    load_study,
    packaged_studies,
    study_split,
)
from neurofm.errors import ConfigError
from neurofm.evaluation.paper_probe import PAPER_TRAINING
from neurofm.study.cells import cell_recipe, trained_places
from neurofm.study.published import METRICS, TABLE_2

_PROBES = ("MAE linear probe", "SimCLR linear probe")
_MINIMAL: dict[str, Any] = {
    "tasks": [{"name": "sex", "title": "Sex", "target": "sex"}],
    "models": [{"name": "scratch", "recipe": "supervised-resnet18"}],
}


def _study(folder: Path, **changes: Any) -> StudyConfig:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(_MINIMAL | changes))
    return load_study(path)


@pytest.fixture(scope="module")
def paper() -> StudyConfig:
    return load_study("paper")


def _cells(paper: StudyConfig, model: str) -> list[Recipe]:
    return [cell_recipe(paper, *each) for each in trained_places(paper) if each[1].name == model]


@pytest.mark.parametrize("name", packaged_studies())
def test_every_packaged_study_can_be_carried_out(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    study_split(study)
    assert [cell_recipe(study, *each) for each in trained_places(study)]


def test_the_paper_has_four_tasks_six_rows_five_runs_and_five_shares(paper: StudyConfig) -> None:
    assert [task.published for task in paper.tasks] == list(METRICS)
    assert [model.published for model in paper.models] == list(TABLE_2)
    assert [model.name for model in paper.models] == list(TABLE_2)
    assert paper.fractions == (0.2, 0.4, 0.6, 0.8, 1.0)
    assert (paper.seeds, paper.fraction_seeds) == (5, 1)
    assert [(task.target, task.cohorts, task.classes) for task in paper.tasks] == [
        ("nihss", ("SOOP",), ()),
        ("diagnosis", ("AIBL",), ("H", "AD")),
        ("sex", ("IXI",), ()),
        ("age_years", ("IXI",), ()),
    ]
    assert len(list(trained_places(paper))) == 4 * 4 * (5 + 4)
    split = study_split(paper)
    assert (split.preset, split.held_out_fraction) == ("paper", 0)
    assert (split.task_test_fraction, split.task_validation_fraction) == (0.2, 0.2)


def test_the_sound_protocol_has_the_papers_tasks_and_its_own_training(paper: StudyConfig) -> None:
    sound = load_study("sound")
    assert (sound.tasks, sound.pretraining, study_split(sound)) == (
        paper.tasks, paper.pretraining, study_split(paper),
    )  # fmt: skip
    assert {model.name for model in sound.models} > set(TABLE_2)
    for task, model, *rest in trained_places(sound):
        objective = cell_recipe(sound, task, model, *rest).objective
        assert isinstance(objective, SupervisedConfig)
        assert (objective.class_weights, objective.standardise_target) == ("balanced", True)
    probes = {model.probe for model in sound.models if model.recipe is None}
    assert probes == {"linear", "neighbours"}


def test_the_paper_pre_trains_as_published(paper: StudyConfig) -> None:
    simclr, mae = (
        effective_recipe(paper, each.recipe, each.changes) for each in paper.pretraining.values()
    )
    assert list(paper.pretraining) == ["simclr", "mae"]
    objective, training, views = simclr.objective, simclr.training, simclr.views
    assert isinstance(objective, SimCLRConfig)
    assert (objective.temperature, objective.projection_size) == (0.5, 64)
    assert isinstance(simclr.encoder, ResNetConfig)
    assert (simclr.encoder.widths, simclr.encoder.features) == ((64, 128, 256, 512), 512)
    assert (training.optimizer, training.learning_rate, training.schedule) == (
        "adam", 3e-4, "constant",
    )  # fmt: skip
    assert (training.batch_size, training.epochs, training.weight_decay) == (72, 150, 0)
    assert (simclr.store.spacing_mm, simclr.preprocess.bias_field_shrink) == (1, 3)
    assert views.min_crop_mm == (30, 40, 40)
    assert (views.flip_probability, views.rotation_probability) == (0.5, 0.5)
    assert views.rotation_radians == pytest.approx(0.785, abs=1e-3)
    assert (views.intensity_shift, views.intensity_shift_probability) == (0.5, 0.8)
    assert (views.gamma_range, views.gamma_probability) == ((0.5, 1.5), 0.8)
    objective, training, views = mae.objective, mae.training, mae.views
    assert isinstance(objective, MAEConfig)
    assert objective.mask_ratio == 0.75
    assert not objective.normalise_patches
    decoder = objective.decoder_width, objective.decoder_depth, objective.decoder_heads
    assert decoder == (512, 8, 16)
    assert isinstance(mae.encoder, ViTConfig)
    assert (mae.encoder.width, mae.encoder.depth, mae.encoder.heads) == (192, 12, 3)
    assert mae.encoder.patch_voxels == (25, 16, 16)
    assert (training.optimizer, training.betas, training.weight_decay) == (
        "adamw", (0.9, 0.95), 0.05,
    )  # fmt: skip
    assert training.learning_rate == pytest.approx(1.5e-4 * 128 / 256)
    assert (training.batch_size, training.epochs, training.warmup_epochs) == (128, 150, 40)
    assert training.schedule == "cosine"
    assert (views.min_crop_mm, views.flip_probability) == ((30, 40, 40), 0.5)
    unused = views.rotation_probability, views.intensity_shift_probability, views.gamma_probability
    assert unused == (0, 0, 0)


@pytest.mark.parametrize(
    ("row", "epochs"),
    [
        (name, 300 if name.endswith("supervised") else 100)
        for name in TABLE_2
        if name not in _PROBES
    ],
)
def test_the_paper_trains_each_row_as_published(paper: StudyConfig, row: str, epochs: int) -> None:
    recipes = _cells(paper, row)
    assert len(recipes) == 4 * 9
    assert {recipe.seed for recipe in recipes} == {0, 1, 2, 3, 4}
    for recipe in recipes:
        training, objective = recipe.training, recipe.objective
        assert isinstance(objective, SupervisedConfig)
        assert (training.epochs, training.batch_size, training.learning_rate) == (epochs, 6, 1e-4)
        assert training.optimizer == "adam"
        assert (objective.class_weights, objective.standardise_target) == ("none", False)
        assert recipe.choosing.patience_epochs == 0
        assert recipe.tuning.trained == "all"
        assert recipe.tuning.layer_decay == 1


@pytest.mark.parametrize("row", TABLE_2)
def test_the_paper_augments_supervised_rows_and_mae_fine_tuning_only(
    paper: StudyConfig, row: str
) -> None:
    views = (load_recipe("linear-probe") if row in _PROBES else _cells(paper, row)[0]).views
    if row in {*_PROBES, "SimCLR fine-tuned"}:
        assert views.min_crop_mm == (150, 192, 192)
        never = (
            views.flip_probability, views.rotation_probability, views.gamma_probability,
            views.intensity_shift_probability, views.noise_probability, views.affine.probability,
        )  # fmt: skip
        assert not any(never)
        return
    assert views.min_crop_mm == (90, 115, 115)
    assert (views.flip_probability, views.affine.probability) == (0.5, 0.7)
    affine = views.affine
    assert (affine.rotation_radians, affine.scale, affine.translation_mm) == (0.1, 0.15, 5)
    assert (views.intensity_shift, views.intensity_shift_probability) == (0.1, 0.5)
    assert (views.noise_std, views.noise_probability) == (0.1, 0.2)


@pytest.mark.parametrize("row", ["MAE linear probe", "SimCLR linear probe"])
def test_the_papers_probes_are_its_layer_on_cached_features(paper: StudyConfig, row: str) -> None:
    (model,) = (model for model in paper.models if model.name == row)
    assert (model.recipe, model.probe) == (None, "paper")
    as_run = load_recipe("linear-probe")
    assert as_run.tuning.trained == "head"
    for training in (PAPER_TRAINING, as_run.training):
        assert (training.epochs, training.batch_size, training.learning_rate) == (100, 6, 1e-4)
        assert training.optimizer == "adam"


def test_supervised_rows_have_the_architectures_of_the_encoders(paper: StudyConfig) -> None:
    simclr, mae = (effective_recipe(paper, each.recipe) for each in paper.pretraining.values())
    assert _cells(paper, "ResNet-18 supervised")[0].encoder == simclr.encoder
    assert _cells(paper, "ViT-T supervised")[0].encoder == mae.encoder


def test_changes_are_laid_over_nested_values() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert laid_over(below, {"a": {"c": [4]}, "e": 5}) == {
        "a": {"b": 1, "c": [4]}, "d": 3, "e": 5,
    }  # fmt: skip
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fractions": [0.5]}, "ascend from above 0 to 1"),
        ({"fractions": [1.0, 0.5]}, "ascend from above 0 to 1"),
        ({"models": [{"name": "x"}]}, "a recipe, an encoder to probe, or both"),
        ({"models": [{"name": "x", "encoder": "mae"}]}, "encoder of 'x' is in no pretraining"),
        ({"models": _MINIMAL["models"] * 2}, "called 'scratch'"),
        ({"ours": "y"}, "'y' is none of the models"),
        ({"models": [{"name": "x", "recipe": "supervised-resnet"}]}, "did you mean"),
        ({"task": []}, "unknown key 'task'; did you mean 'tasks'"),
        ({"common": {"encoder": {"kind": "cnn"}}}, "study .*recipe supervised-resnet18"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _study(tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_models_that_divide_people_otherwise_are_refused(tmp_path: Path) -> None:
    other = {"name": "x", "recipe": "supervised-resnet18", "changes": {"split": {"task_seed": 1}}}
    with pytest.raises(ConfigError, match="'x' has 1, the study 0"):
        study_split(_study(tmp_path, models=[other]))


def test_overrides_change_a_study(tmp_path: Path) -> None:
    _study(tmp_path)
    study = load_study(tmp_path / "study.yaml", ("seeds=2", "common.training.epochs=3"))
    assert study.seeds == 2
    first = next(cell_recipe(study, *each) for each in trained_places(study))
    assert first.training.epochs == 3
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        load_study("papers")
