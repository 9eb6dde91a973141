"""A study: tasks x models x seeds x shares of the training part, read from YAML and checked once.

Its models are recipes; a study says what is laid over each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from neurofm.config.knobs import Section, knob
from neurofm.config.learning import EvaluationConfig
from neurofm.config.preparation import PhantomConfig, SplitConfig
from neurofm.config.recipe import (
    Recipe,
    check_recipe,
    check_section,
    find_recipe,
    no_such,
    recipes_folder,
    split_override,
)
from neurofm.config.yaml_reader import parse_yaml, read_yaml
from neurofm.errors import ConfigError
from neurofm.files import fingerprint_of

_FILE = "study.yaml"
_OF_PARTS = ("task_test_fraction", "task_validation_fraction", "task_seed")


class CohortOfStudy(Section):
    """A simulated cohort, for a study that is rehearsed without scans."""

    name: str = knob(..., "-", "Its name in the index.")
    phantom: PhantomConfig = PhantomConfig()


class PretrainingOfStudy(Section):
    """An encoder that the study's models start from."""

    recipe: str | None = knob(
        None, "-", "Of the pre-training, by name or path; none: weights that are given."
    )
    changes: dict[str, Any] = knob({}, "-", "Laid over that recipe.")


class TaskOfStudy(Section):
    """What is predicted, for whom."""

    name: str = knob(..., "-", "Short name; a folder is called so.")
    title: str = knob(..., "-", "As tables show it.")
    unit: str = knob("", "-", "Of a number.")
    target: str = knob(..., "-", "The index column.")
    cohorts: tuple[str, ...] = knob((), "-", "Whose people count; empty: all.")
    classes: tuple[str, ...] = knob((), "-", "Only these classes; empty: all.")
    published: str | None = knob(None, "-", "The task of the paper's Table 2 that it repeats.")


class ModelOfStudy(Section):
    """A row of the table: a recipe of neurofm train, or a probe where there is none."""

    name: str = knob(..., "-", "As tables show it.")
    recipe: str | None = knob(None, "-", "By name or path; none: a probe of cached features.")
    encoder: str | None = knob(None, "-", "The pre-training it starts from; none: from scratch.")
    probe: Literal["linear", "neighbours", "paper"] = knob(
        "linear",
        "-",
        "Without a recipe: linear and regularised, the nearest neighbours, or the paper's layer.",
    )
    changes: dict[str, Any] = knob({}, "-", "Laid over the recipe.")
    published: str | None = knob(None, "-", "The row of the paper's Table 2 that it repeats.")

    @model_validator(mode="after")
    def _reads_something(self) -> ModelOfStudy:
        if self.recipe is None and self.encoder is None:
            raise ValueError("a model needs a recipe, an encoder to probe, or both")
        return self


class StudyConfig(Section):
    """Every value of a study that can change a number."""

    name: str = knob(..., "-", "Short name of the study.")
    seed: int = knob(0, "-", "Every random draw follows from it.", ge=0)
    seeds: int = knob(5, "runs", "Independent runs with the whole training part (paper: 5).", ge=1)
    fractions: tuple[float, ...] = knob(
        (0.2, 0.4, 0.6, 0.8, 1.0), "-", "Shares of the training part (paper: Figures 4 and 5)."
    )
    fraction_seeds: int = knob(1, "runs", "Runs with a smaller share (paper: 1).", ge=1)
    common: dict[str, Any] = knob({}, "-", "Laid over every recipe of the study.")
    cohorts: tuple[CohortOfStudy, ...] = knob((), "-", "Simulated, where no scans are given.")
    pretraining: dict[str, PretrainingOfStudy] = knob({}, "-", "Encoders by their names.")
    tasks: tuple[TaskOfStudy, ...] = knob(..., "-", "What is predicted.", min_length=1)
    models: tuple[ModelOfStudy, ...] = knob(..., "-", "Rows of the table.", min_length=1)
    ours: str | None = knob(None, "-", "The row others are compared with; none: the last.")
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> StudyConfig:
        for kind, names in (
            ("task", [task.name for task in self.tasks]),
            ("model", [model.name for model in self.models]),
            ("cohort", [cohort.name for cohort in self.cohorts]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"two of a kind are called '{twice.pop()}': a {kind} each")
        for model in self.models:
            if model.encoder is not None and model.encoder not in self.pretraining:
                raise ValueError(f"the encoder of '{model.name}' is in no pretraining")
        if self.ours is not None and self.ours not in {model.name for model in self.models}:
            raise ValueError(f"'{self.ours}' is none of the models")
        steps = list(self.fractions)
        if not steps or steps != sorted(set(steps)) or steps[-1] != 1 or steps[0] <= 0:
            raise ValueError("the fractions have to ascend from above 0 to 1")
        return self

    @property
    def first(self) -> str:
        """The model that the others are compared with."""
        return self.ours or self.models[-1].name

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any value but the name."""
        return fingerprint_of(self.model_dump(mode="json", exclude={"name"}))


def load_study(reference: str | Path, overrides: tuple[str, ...] = ()) -> StudyConfig:
    """Read a study by path or by the name of a packaged one, with overrides applied.

    Raises:
        ConfigError: no such study, unknown key, wrong type or impossible value.
    """
    path = find_study(reference)
    if path is None:
        raise no_such("study", reference, packaged_studies())
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError("is not a list of 'key: value' lines", "compare with recipes/paper", path)
    for override in overrides:
        keys, text = split_override(override)
        change: Any = parse_yaml(text, override)
        for key in reversed(keys):
            change = {key: change}
        values = laid_over(values, change)
    study = check_section(StudyConfig, {"name": path.parent.name} | values, path)
    for pretraining in study.pretraining.values():
        if pretraining.recipe is not None:
            effective_recipe(study, pretraining.recipe, pretraining.changes)
    for model in study.models:
        if model.recipe is not None:
            effective_recipe(study, model.recipe, model.changes)
    return study


def find_study(reference: str | Path) -> Path | None:
    """The file of a study given as a path or as the name of a packaged one; None for neither."""
    path = Path(reference)
    if path.is_file():
        values = read_yaml(path)
        return path if isinstance(values, dict) and "models" in values else None
    return packaged_studies().get(str(reference))


def packaged_studies() -> dict[str, Path]:
    """Name and file of every study that comes with neurofm."""
    return {path.parent.name: path for path in sorted(recipes_folder().glob(f"*/{_FILE}"))}


def study_split(study: StudyConfig) -> SplitConfig:
    """How the study's tasks are divided; the same for all models.

    Raises:
        ConfigError: a model's recipe divides them otherwise.
    """
    split = check_section(SplitConfig, study.common.get("split", {}), f"study {study.name}")
    for model in study.models:
        if model.recipe is not None:
            own = effective_recipe(study, model.recipe, model.changes).split
            for name in _OF_PARTS:
                theirs, common = getattr(own, name), getattr(split, name)
                if theirs != common:
                    raise ConfigError(
                        f"'{model.name}' has {theirs}, the study {common}",
                        "give it in the study's common section only", f"split.{name}",
                    )  # fmt: skip
    return split


def effective_recipe(study: StudyConfig, reference: str, *changes: Mapping[str, Any]) -> Recipe:
    """A recipe with the study's common values, then the changes, laid over it.

    Raises:
        ConfigError: no such recipe, or the result is impossible.
    """
    path = find_recipe(reference)
    values = {"name": path.stem} | read_yaml(path)
    for change in (study.common, *changes):
        values = laid_over(values, change)
    return check_recipe(values, where=f"study {study.name}, recipe {reference}")


def laid_over(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with those of `change` in their place; lists are replaced whole."""
    merged = dict(values)
    for key, value in change.items():
        before = merged.get(key)
        nested = isinstance(value, Mapping) and isinstance(before, Mapping)
        merged[key] = laid_over(dict(before or {}), value) if nested else value
    return merged
