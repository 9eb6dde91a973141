"""Before anything is evaluated: which scans, whether they fit the weights, whether they leak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Int

from neurofm.cohorts.sides import has_part
from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.config.recipe import Recipe
from neurofm.errors import ConfigError, NeurofmError, RunError
from neurofm.evaluation.given import Given, GivenRun, open_runs
from neurofm.evaluation.label_door import require_folds_told
from neurofm.evaluation.parts import PartedTask, divide
from neurofm.evaluation.probing import is_held_out, task_names
from neurofm.files import fingerprint_of
from neurofm.models.suitability import (
    check_contract,
    check_overlap,
    check_training_unseen,
    check_unseen,
)
from neurofm.store.reader import Store

_OF_PARTS = ("task_test_fraction", "task_validation_fraction", "task_cohorts", "task_seed")

Which = Literal["held-out", "all", "test"]


@dataclass(frozen=True, eq=False)
class Opened:
    """An evaluation that may begin.

    Attributes:
        recipe: targets, folds, repeats, seed.
        runs: the weights, in the order given; models are compared with the first.
        rows: rows of the store to read.
        frame: their index rows.
        which: "held-out" where the index says so, "all" where it does not, "test" with parts.
        tasks: with parts, who fits, chooses and tests; their places are in `frame`.
        judged: of each run, places in `frame` of the scans whose predictions count.
        overlap: of each run, participants seen in training; None where the weights do not tell.
        data: fingerprint of the evaluated volumes and their labels.
        contract: fingerprint of the preprocessing contract.
        warnings: what a reader must know.
    """

    recipe: Recipe
    runs: tuple[GivenRun, ...]
    rows: tuple[int, ...]
    frame: pd.DataFrame
    which: Which
    tasks: tuple[PartedTask, ...]
    judged: tuple[Int[np.ndarray, " judged"], ...]
    overlap: tuple[int | None, ...]
    data: str
    contract: str
    warnings: tuple[str, ...]

    @property
    def weights(self) -> tuple[tuple[str, str], ...]:
        """Model and SHA-256 of each set of weights."""
        return tuple((run.model, run.card.weights_sha256) for run in self.runs)


def open_evaluation(
    recipe: Recipe,
    store: Store,
    given: Sequence[Given],
    allow_overlap: bool,
    allow_other_contract: bool,
) -> Opened:
    """Check store and weights against each other and choose the scans.

    Raises:
        ConfigError: the weights' names do not go together, or their parts are not the recipe's.
        ContractError: they were preprocessed differently, or lie on other grids.
        LeakageError: participants who are evaluated, or validate or train a probe and were kept
            from pre-training, were seen in it, and that is not allowed.
        TableError: a label is missing or may be a code; see `require_labels_of`.
        RunError: the store has no scan to evaluate, or a head is of another task.
    """
    runs = open_runs(given)
    notes = [_checked(run, runs, store, allow_other_contract) for run in runs]
    tasks = _parted(recipe, store.index, runs)
    which: Which = "test" if tasks else "held-out" if is_held_out(store.index).any() else "all"
    rows = _rows(store.index, which, tasks)
    frame = store.index.loc[rows]
    if frame.empty:
        raise RunError("has no scan to evaluate", "pack scans first", "store")
    if not tasks:
        require_folds_told(recipe, store.index, frame)
    tasks = tuple(task.placed(rows) for task in tasks)
    judged = tuple(_judged(run, tasks, len(rows)) for run in runs)
    overlap = []
    for run, places in zip(runs, judged, strict=True):
        with _about(run, runs):
            seen, more = check_overlap(run.card, frame.iloc[places], allow_overlap)
            more += _others_unseen(run, tasks, frame, allow_overlap)
        overlap.append(seen)
        notes.append(_with_name(run, runs, more))
    return Opened(
        recipe=recipe,
        runs=runs,
        rows=tuple(int(row) for row in rows),
        frame=frame.reset_index(drop=True),
        which=which,
        tasks=tasks,
        judged=judged,
        overlap=tuple(overlap),
        data=_data_fingerprint(store, frame, tasks),
        contract=store.contract.fingerprint(),
        warnings=tuple(dict.fromkeys(note for group in notes for note in group)),
    )


def _checked(
    run: GivenRun, runs: tuple[GivenRun, ...], store: Store, allow_other: bool
) -> tuple[str, ...]:
    with _about(run, runs):
        return _with_name(run, runs, check_contract(store, run.card, allow_other))


def _parted(
    recipe: Recipe, index: pd.DataFrame, runs: tuple[GivenRun, ...]
) -> tuple[PartedTask, ...]:
    """The tasks by their parts, if the recipe or a head asks for these.

    With a head its targets alone are evaluated: it has learnt from people who may be in the test
    part of another task.
    """
    heads = list(dict.fromkeys(run.target for run in runs if run.target))
    if not heads and recipe.evaluation.parts == "folds":
        return ()
    for run in runs:
        _require_same_parts(run, recipe)
    names = heads or task_names(index[has_part(index)], recipe.evaluation.targets)
    classes = {run.target: _asked_classes(run) for run in runs}
    tasks = tuple(divide(index, name, recipe.split, classes.get(name, ())) for name in names)
    for run in runs:
        _require_same_task(run, tasks)
    if all(task.why_not for task in tasks):
        why = "; ".join(f"{task.target.task}: {task.why_not}" for task in tasks)
        raise RunError(f"has nothing to evaluate ({why})", "name other evaluation.targets", "store")
    return tasks


def _asked_classes(run: GivenRun) -> tuple[str, ...]:
    """The only classes its training was about; empty for all."""
    objective = (run.card.recipe or {}).get("objective")
    asked = objective.get("classes") if isinstance(objective, dict) else None
    return tuple(map(str, asked)) if isinstance(asked, list) else ()


def _require_same_parts(run: GivenRun, recipe: Recipe) -> None:
    """See that a network with a head was trained on the parts that this recipe draws."""
    trained_with = (run.card.recipe or {}).get("split")
    if run.target is None or not isinstance(trained_with, dict):
        return
    for name, asked in recipe.split.model_dump(mode="json", include=set(_OF_PARTS)).items():
        own = trained_with.get(name, asked)
        if own != asked:
            raise ConfigError(
                f"is {asked} here, and was {own} when '{run.model}' was trained",
                f"add split.{name}={own}", f"split.{name}",
            )  # fmt: skip


def _require_same_task(run: GivenRun, tasks: tuple[PartedTask, ...]) -> None:
    head = run.card.head
    for task in tasks:
        target = task.target
        if head is None or head.target != target.task or task.why_not:
            continue
        if (head.kind, head.classes) != (target.kind, target.classes):
            raise RunError(
                f"predicts {_outputs(head.classes)}; the store's '{head.target}' is "
                f"{_outputs(target.classes)}",
                "evaluate on a store with the labels it was trained on", run.folder,
            )  # fmt: skip


def _outputs(classes: tuple[str, ...]) -> str:
    return ", ".join(classes) if classes else "a number"


def _rows(
    index: pd.DataFrame, which: Which, tasks: tuple[PartedTask, ...]
) -> Int[np.ndarray, " rows"]:
    if which == "test":
        return np.unique(np.concatenate([task.target.rows for task in tasks])).astype(np.int64)
    wanted = is_held_out(index) if which == "held-out" else pd.Series(True, index=index.index)
    return index.index[wanted].to_numpy().astype(np.int64)


def _judged(run: GivenRun, tasks: tuple[PartedTask, ...], scans: int) -> Int[np.ndarray, " judged"]:
    """Places in the frame of the scans whose predictions by this run count."""
    return _places(run, tasks, TEST) if tasks else np.arange(scans)


def _places(run: GivenRun, tasks: tuple[PartedTask, ...], role: str) -> Int[np.ndarray, " places"]:
    """Places in the frame of the scans of one part, of all tasks that this run is about."""
    rows = [task.target_of(role).rows for task in tasks if run.is_about(task.target.task)]
    return np.unique(np.concatenate([np.empty(0, np.int64), *rows]))


def _others_unseen(
    run: GivenRun, tasks: tuple[PartedTask, ...], frame: pd.DataFrame, allowed: bool
) -> tuple[str, ...]:
    """See that an encoder has seen nobody who validates, or who trains and was kept from it.

    A network with a head has learnt from these very people.
    """
    if not tasks or run.target is not None:
        return ()
    validation, train = (frame.iloc[_places(run, tasks, role)] for role in (VALIDATION, TRAIN))
    return (
        *check_unseen(run.card, validation, "of the validation part", allowed),
        *check_training_unseen(run.card, train, allowed),
    )


def _data_fingerprint(store: Store, frame: pd.DataFrame, tasks: tuple[PartedTask, ...]) -> str:
    names = [str(name) for name in frame.columns if not str(name).endswith("path")]
    labels = {name: [str(value) for value in frame[name]] for name in names}
    parts = {task.target.task: [task.target.rows.tolist(), task.roles.tolist()] for task in tasks}
    return fingerprint_of([store.content, labels, *([parts] if parts else [])])


@contextmanager
def _about(run: GivenRun, runs: tuple[GivenRun, ...]) -> Iterator[None]:
    """Say in an error which of several weights it is about."""
    try:
        yield
    except NeurofmError as error:
        if len(runs) > 1 and error.where is None:
            error.where = f"{run.model} ({run.folder})"
        raise


def _with_name(
    run: GivenRun, runs: tuple[GivenRun, ...], notes: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(f"{run.model}: {note}" for note in notes) if len(runs) > 1 else notes
