"""The whole path of a study: scans or phantom cohorts -> store -> encoders -> cells -> page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from neurofm.cohorts.failures import Failure
from neurofm.config.objectives import SupervisedConfig
from neurofm.config.recipe import Recipe
from neurofm.config.study import StudyConfig, effective_recipe, study_split
from neurofm.errors import ConfigError
from neurofm.files import only_writer
from neurofm.progress import Progress
from neurofm.seeds import seed_of
from neurofm.store.reader import Store
from neurofm.workflow import Course, Stages, claim, prepare


@dataclass(frozen=True, eq=False)
class FinishedStudy:
    """What one run of a study left behind.

    Attributes:
        failures: scans and cells without a result, and why.
        study: folder of its predictions, tables and page.
    """

    failures: tuple[Failure, ...]
    study: Path


def run_study_path(
    study: StudyConfig,
    sources: Sequence[Path],
    folder: Path,
    workers: int,
    progress: Progress,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> FinishedStudy:
    """Run every stage of a study into `folder`; finished stages are kept and continued.

    Args:
        study: the experiment; its common section says how scans are divided and prepared.
        sources: where the scans are; without any, the study's phantom cohorts are made.
        folder: receives `cohorts/` (phantoms), `index.parquet`, `index.split.json`,
            `derivatives/`, `store/`, `pretraining/`, `study/` and `stages.json`.
        workers: processes that work on scans, then on cells, side by side.
        progress: shown the course of each stage.
        tell: given each line that the user should read.

    Raises:
        ConfigError: there are neither sources nor phantom cohorts, or an encoder has no recipe.
        RunError: the folder holds another run, or no scan could be used.
        TableError: the index lacks labels of a task; see `require_told`.
    """
    if not sources and not study.cohorts:
        raise ConfigError(
            "the study has no phantom cohorts and no --source was given", "add --source FOLDER",
            study.name,
        )  # fmt: skip
    for name, pretraining in study.pretraining.items():
        if pretraining.recipe is None:
            raise ConfigError(
                f"'{name}' has no recipe of its pre-training",
                f"carry the study out with: neurofm evaluate ... --weights {name}=REF", study.name,
            )  # fmt: skip
    with only_writer(folder):
        claim(folder, study, sources)
        stages = Stages(folder / "stages.json")
        with stages.timed("phantoms"):
            places = list(sources) or _phantoms(study, folder / "cohorts", workers, progress)
        require = partial(_require, study)
        course = Course(_preparation(study), places, folder, workers, progress, tell, require)
        prepared = prepare(course, stages)
        weights = {
            name: _pretrained(study, name, prepared.store, course, stages)
            for name in study.pretraining
        }
        with stages.timed("study"):
            failures = _cells(study, prepared.store, weights, course)
        return FinishedStudy(prepared.failures + failures, folder / "study")


def _preparation(study: StudyConfig) -> Recipe:
    """The recipe by which scans are divided, preprocessed and packed: the study's common values."""
    recipes = [each.recipe for each in study.pretraining.values()]
    recipes += [model.recipe for model in study.models]
    first = next(recipe for recipe in recipes if recipe is not None)
    return effective_recipe(study, first, {"seed": study.seed})


def _require(study: StudyConfig, index: pd.DataFrame) -> None:
    from neurofm.study.cells import task_split
    from neurofm.training.fit import require_full_batch
    from neurofm.training.task import require_told

    split = study_split(study)
    for task in study.tasks:
        config = SupervisedConfig(target=task.target, classes=task.classes)
        require_told(index, config, task_split(split, task, 1.0))
    for name in study.pretraining:
        require_full_batch(_pretraining_recipe(study, name), index)


def _phantoms(study: StudyConfig, folder: Path, workers: int, progress: Progress) -> list[Path]:
    from neurofm.cohorts.phantom import write_phantom_cohort

    for cohort in study.cohorts:
        seed = seed_of("cohort", study.seed, cohort.name)
        write_phantom_cohort(folder / cohort.name, cohort.phantom, seed, progress, workers)
    return [folder / cohort.name for cohort in study.cohorts]


def _pretrained(
    study: StudyConfig, name: str, store: Store, course: Course, stages: Stages
) -> Path:
    from neurofm.reports.onlookers import ONLOOKERS
    from neurofm.training.device import choose_device
    from neurofm.training.fit import Manner, pretrain

    recipe, run = _pretraining_recipe(study, name), course.folder / "pretraining" / name
    with stages.timed(f"pretrain {name}"):
        how = Manner(tell=course.tell, onlookers=ONLOOKERS)
        pretrain(recipe, store, run, choose_device("auto"), course.progress, how=how)
    return run


def _pretraining_recipe(study: StudyConfig, name: str) -> Recipe:
    asked = study.pretraining[name]
    assert asked.recipe is not None  # refused at the beginning
    return effective_recipe(study, asked.recipe, asked.changes, {"seed": study.seed})


def _cells(
    study: StudyConfig, store: Store, weights: dict[str, Path], course: Course
) -> tuple[Failure, ...]:
    from neurofm.study.running import Machinery, run_study

    machinery = Machinery(course.workers)
    folder = course.folder / "study"
    return run_study(study, store, weights, folder, machinery, course.progress)[1]
