"""The cells of a study: one training run each, with its place in the table and on disk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from neurofm.cohorts.failures import Failure
from neurofm.config.preparation import SplitConfig
from neurofm.config.recipe import Recipe
from neurofm.config.study import ModelOfStudy, StudyConfig, TaskOfStudy, effective_recipe
from neurofm.files import fingerprint_of

CELL, PREDICTIONS, RUN = "cell.json", "predictions.parquet", "run"


@dataclass(frozen=True)
class Place:
    """Where a cell stands in the study.

    Attributes:
        task: its short name.
        model: the row.
        fraction: share of the training part.
        seed: which of the independent runs, from 0.
    """

    task: str
    model: str
    fraction: float
    seed: int

    def __str__(self) -> str:
        share = "" if self.fraction == 1 else f", {self.fraction:.0%} of training"
        return f"{self.task}: {self.model}, run {self.seed + 1}{share}"


@dataclass(frozen=True)
class Cell:
    """One run to train and to test; it can be pickled.

    Attributes:
        place: in the study.
        recipe: of the run, all effective values.
        store: the packed scans' folder.
        content: fingerprint of the store.
        weights: folder that the encoder comes from; None from scratch.
        weights_sha256: of them.
        folder: receives the run, its predictions and `cell.json`.
        device: where to train, as in `choose_device`.
        allow_overlap: go on although the weights have seen people of the task.
        allow_other_contract: go on with scans preprocessed otherwise than the weights'.
    """

    place: Place
    recipe: Recipe
    store: Path
    content: str
    weights: Path | None
    weights_sha256: str | None
    folder: Path
    device: str
    allow_overlap: bool
    allow_other_contract: bool

    def failed(self, step: str, kind: str, reason: str) -> CellOutcome:
        """The outcome where `step` could not be done."""
        words = " ".join(reason.split())
        return CellOutcome(
            self.place, Failure(str(self.folder), str(self.place), step, kind, words)
        )

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with whatever would change its predictions."""
        return fingerprint_of([self.recipe.fingerprint(), self.content, self.weights_sha256])


@dataclass(frozen=True)
class CellOutcome:
    """What became of a cell.

    Attributes:
        place: in the study.
        failure: None where its predictions are there.
        deaths: processes that died while at work on it.
    """

    place: Place
    failure: Failure | None
    deaths: int = 0

    def after_deaths(self, count: int) -> Self:
        """The same outcome, reached after `count` processes had died at it."""
        return replace(self, deaths=count)


def task_split(recipe_split: SplitConfig, task: TaskOfStudy, fraction: float) -> SplitConfig:
    """Who a task is about, and how much of its training part is used."""
    changes = {"task_cohorts": task.cohorts, "task_train_fraction": fraction}
    return recipe_split.model_copy(update=changes)


def trained_places(study: StudyConfig) -> Iterator[tuple[TaskOfStudy, ModelOfStudy, Place]]:
    """The cells that are trained, the whole training part first: the table is done early."""
    for fraction in reversed(study.fractions):
        runs = study.seeds if fraction == 1 else study.fraction_seeds
        for seed in range(runs):
            for task in study.tasks:
                for model in study.models:
                    if model.recipe is not None:
                        yield task, model, Place(task.name, model.name, fraction, seed)


def cell_recipe(
    study: StudyConfig,
    task: TaskOfStudy,
    model: ModelOfStudy,
    place: Place,
    participants: int | None = None,
) -> Recipe:
    """All effective values of a cell's run.

    Args:
        study: with the values common to all.
        task: what is predicted, for whom.
        model: its recipe.
        place: share and seed.
        participants: in the training part; fewer than a batch are one batch.
    """
    assert model.recipe is not None
    of_task: Mapping[str, Any] = {
        "name": f"{study.name}: {place}",
        "seed": study.seed + place.seed,
        "objective": {"target": task.target, "classes": list(task.classes)},
        "split": {"task_cohorts": list(task.cohorts), "task_train_fraction": place.fraction},
    }
    recipe = effective_recipe(study, model.recipe, model.changes, of_task)
    if participants is None or participants >= recipe.training.batch_size:
        return recipe
    training = recipe.training.model_copy(update={"batch_size": participants})
    return recipe.model_copy(update={"training": training})


def cell_folder(place: Place) -> Path:
    """Where a cell lies below the study's folder."""
    run = f"{round(place.fraction * 100):03d}-percent-seed-{place.seed}"
    return Path("cells", slug(place.task), slug(place.model), run)


def slug(name: str) -> str:
    """A name as a folder is called: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
