"""A study that may begin: its tasks divided, its encoders checked against the scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.config.study import StudyConfig, TaskOfStudy, study_split
from neurofm.errors import ConfigError, RunError
from neurofm.evaluation.given import GivenRun
from neurofm.evaluation.parts import PartedTask, divide_shares
from neurofm.files import fingerprint_of
from neurofm.models.suitability import check_contract, check_overlap, check_training_unseen
from neurofm.models.weights import load_weights
from neurofm.store.reader import Store
from neurofm.study.cells import cell_recipe, task_split, trained_places
from neurofm.study.site_task import site_task
from neurofm.training.starting import require_trainable
from neurofm.training.validation_metrics import require_choice


@dataclass(frozen=True)
class Allowed:
    """What a study goes on with although results suffer, and says so."""

    overlap: bool = False
    other_contract: bool = False


@dataclass(frozen=True, eq=False)
class OpenedStudy:
    """A study that may begin.

    Attributes:
        study: all its values.
        store: the scans.
        encoders: the pre-trained weights by their names.
        tasks: every task and share of its training part, by its short name and the share; places
            are in `frame`.
        site: the site as a task of the same people, where they are of several.
        rows: rows of the store that any task needs, ascending.
        frame: their index rows.
        seen: of each encoder, people of validation and test parts whom it has seen; None where the
            weights do not tell.
        warnings: what a reader must know.
        data: fingerprint of the scans and their labels.
    """

    study: StudyConfig
    store: Store
    encoders: Mapping[str, GivenRun]
    tasks: Mapping[tuple[str, float], PartedTask]
    site: PartedTask | None
    rows: Int[np.ndarray, " rows"]
    frame: pd.DataFrame
    seen: Mapping[str, int | None]
    warnings: tuple[str, ...]
    data: str

    def whole(self, task: TaskOfStudy) -> PartedTask:
        """A task with the whole of its training part."""
        return self.tasks[task.name, 1.0]


def open_study(
    study: StudyConfig, store: Store, weights: Mapping[str, Path], allowed: Allowed
) -> OpenedStudy:
    """Divide the tasks and check the encoders, before anything is trained.

    Args:
        study: what is to be done.
        store: the scans.
        weights: folder of each pre-training that the models name.
        allowed: what is gone on with.

    Raises:
        ConfigError: an encoder is missing, or a recipe divides the tasks otherwise.
        ContractError: weights are for scans preprocessed otherwise.
        LeakageError: weights have seen people of a validation or test part, or of a training part
            that the index keeps from pre-training.
        RunError: a task has nobody to test, or nothing to choose an epoch by.
        TableError: labels are missing, or may be codes; see `require_told`.
        WeightsError: weights cannot be read, or are to be trained and are of a network that is not.
    """
    encoders = _encoders(study, weights)
    tasks = _tasks(study, store.index)
    _require_choices(study, tasks)
    notes: list[str] = []
    seen: dict[str, int | None] = {}
    whole = [tasks[task.name, 1.0] for task in study.tasks]
    judged = _in_parts(store.index, whole, VALIDATION, TEST)
    train = _in_parts(store.index, whole, TRAIN)
    for name, run in encoders.items():
        found = check_contract(store, run.card, allowed.other_contract)
        seen[name], more = check_overlap(run.card, judged, allowed.overlap)
        more += check_training_unseen(run.card, train, allowed.overlap, "a training part")
        notes += [f"{name}: {note}" for note in (*found, *more)]
    rows = np.unique(np.concatenate([parted.target.rows for parted in tasks.values()]))
    frame = store.index.loc[rows]
    cards = [run.card for run in encoders.values()]
    site, more = site_task(study, frame, study_split(study), cards, allowed.overlap)
    notes += more
    return OpenedStudy(
        study=study,
        store=store,
        encoders=encoders,
        tasks={key: parted.placed(rows) for key, parted in tasks.items()},
        site=site.placed(rows) if site else None,
        rows=rows,
        frame=frame.reset_index(drop=True),
        seen=seen,
        warnings=tuple(notes),
        data=fingerprint_of([store.content, rows.tolist()]),
    )


def _tasks(study: StudyConfig, index: pd.DataFrame) -> dict[tuple[str, float], PartedTask]:
    """Every task and share, rows as in the index."""
    split = study_split(study)
    tasks = {
        (task.name, fraction): parted
        for task in study.tasks
        for fraction, parted in zip(
            study.fractions,
            divide_shares(
                index, task.target, task_split(split, task, 1.0), study.fractions, task.classes
            ),
            strict=True,
        )
    }
    for (name, _), parted in tasks.items():
        if parted.why_not:
            raise RunError(
                f"the task '{name}' has nothing to test ({parted.why_not})",
                "see its cohorts and classes, and the split of the index", "store",
            )  # fmt: skip
    return tasks


def _require_choices(study: StudyConfig, tasks: Mapping[tuple[str, float], PartedTask]) -> None:
    """See that validation can choose an epoch of every network that is trained."""
    for task, model, place in trained_places(study):
        if place.fraction < 1 or place.seed:
            continue  # the same people validate
        validation = tasks[task.name, 1.0].target_of(VALIDATION)
        config = cell_recipe(study, task, model, place).choosing
        try:
            require_choice(validation.classes, validation.values, config)
        except RunError as error:
            raise RunError(f"{place}: {error.what}", error.mend, error.where) from None


def _encoders(study: StudyConfig, weights: Mapping[str, Path]) -> dict[str, GivenRun]:
    wanted = {model.encoder for model in study.models if model.encoder is not None}
    for name in sorted(wanted - set(weights)):
        raise ConfigError(
            f"the study's models start from '{name}'", f"add --weights {name}=FOLDER", "--weights"
        )
    for name in sorted(set(weights) - set(study.pretraining)):
        raise ConfigError(
            f"no model of the study starts from '{name}'",
            f"there are: {', '.join(study.pretraining)}", f"--weights {name}=...",
        )  # fmt: skip
    found = {
        name: GivenRun(name, weights[name], load_weights(weights[name]).card)
        for name in study.pretraining
        if name in wanted
    }
    for model in study.models:
        if model.recipe is not None and model.encoder is not None:
            require_trainable(found[model.encoder].card, weights[model.encoder])
    return found


def _in_parts(index: pd.DataFrame, tasks: Sequence[PartedTask], *roles: str) -> pd.DataFrame:
    """The people of these parts of all tasks."""
    rows = [task.target_of(role).rows for task in tasks for role in roles]
    frame: pd.DataFrame = index.loc[np.unique(np.concatenate(rows))]
    return frame
