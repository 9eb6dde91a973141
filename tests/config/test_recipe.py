"""Recipes: strict, readable, with the mend in each refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurofm.config.recipe import (
    Recipe,
    check_recipe,
    load_recipe,
    packaged_recipes,
    sections_in,
)
from neurofm.config.show import recipe_as_yaml
from neurofm.config.yaml_reader import parse_yaml
from neurofm.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("012", "012"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("1e-3", 1e-3),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("-3", -3),
        ("0", 0),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("null", None),
        ("", None),
        ("[1, a]", [1, "a"]),
    ],
)
def test_yaml_scalars_mean_what_people_expect(text: str, value: object) -> None:
    parsed = parse_yaml(text, "here")
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_key_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1: the key 'seed' is given twice"):
        load_recipe(write(tmp_path, "seed: 1\nseed: 2\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainng: {epochs: 3}", "unknown key 'trainng'; did you mean 'training'"),
        ("training: {epoch: 3}", "unknown key 'training.epoch'; did you mean 'training.epochs'"),
        ("training: {learning_rate: '1e-4'}", "'training.learning_rate': .* number"),
        ("training: {epochs: 2.5}", "'training.epochs': .* integer"),
        ("training: {epochs: true}", "'training.epochs'"),
        ("training: {learning_rate: -1}", "greater than 0"),
        ("encoder: {widths: [0, 8, 8, 16]}", "'encoder.widths.0': .* greater than or equal to 1"),
        ("preprocess: {transform: elastic}", "'rigid' or 'affine'"),
        ("- a\n- b", "not a list of 'key: value' lines"),
        ("a: [1", "line 1"),
    ],
)
def test_a_bad_recipe_is_refused_in_one_line_with_the_key(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_suggests_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'simclr-paper'"):
        load_recipe("simclr-papr")


def test_overrides_change_one_value_and_leave_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, "training: {epochs: 7, batch_size: 4}")
    recipe = load_recipe(path, ("training.batch_size=6", "seed=3"))
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.seed) == (7, 6, 3)


def test_an_override_without_equals_or_through_a_value_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 1")
    with pytest.raises(ConfigError, match="section.key=value"):
        load_recipe(path, ("seed",))
    with pytest.raises(ConfigError, match="not a section"):
        load_recipe(path, ("seed.deep=1",))


def test_the_shown_recipe_reads_back_to_the_same_recipe(tmp_path: Path) -> None:
    for path in packaged_recipes().values():
        recipe = load_recipe(path)
        assert load_recipe(write(tmp_path, recipe_as_yaml(recipe))) == recipe
        assert load_recipe(write(tmp_path, recipe_as_yaml(recipe, explained=False))) == recipe


def test_every_knob_has_a_unit_and_a_reason() -> None:
    def check(section: type[Any]) -> None:
        for name, field in section.model_fields.items():
            kinds = sections_in(field.annotation)
            for kind in kinds:
                check(kind)
            if not kinds:
                assert field.description, name
                assert "unit" in field.json_schema_extra, name

    check(Recipe)


def test_the_fingerprint_follows_values_but_not_the_name() -> None:
    base = check_recipe({"name": "a"}, "test")
    assert base.fingerprint() == check_recipe({"name": "b", "seed": 0}, "test").fingerprint()
    assert base.fingerprint() != check_recipe({"name": "a", "seed": 1}, "test").fingerprint()


def test_a_recipe_cannot_be_changed_after_it_was_read() -> None:
    recipe = check_recipe({"name": "a"}, "test")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 2


def test_the_paper_recipe_has_the_papers_numbers() -> None:
    recipe = load_recipe("simclr-paper")
    assert recipe.training.epochs == 150
    assert recipe.training.batch_size == 72
    assert recipe.training.learning_rate == 3e-4
    assert recipe.objective.temperature == 0.5
    assert recipe.views.min_crop_mm == (30, 40, 40)
    assert recipe.store.spacing_mm == 1
    assert recipe.preprocess.transform == "rigid"
