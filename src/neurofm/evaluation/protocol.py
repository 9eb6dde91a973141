"""The protocol: tasks x models x repeats, from a store and weights to saved results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int
from threadpoolctl import threadpool_limits

from neurofm.config.recipe import Recipe
from neurofm.data.targets import Target
from neurofm.errors import RunError
from neurofm.evaluation.contenders import Contenders, read_images
from neurofm.evaluation.given import Given
from neurofm.evaluation.left_out_sites import left_out_predictions
from neurofm.evaluation.opening import Opened, open_evaluation
from neurofm.evaluation.openings import OPENINGS, count_opening
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probing import probe_tasks, targets_of, why_not_evaluated
from neurofm.evaluation.record import (
    EMBEDDINGS,
    LEFT_OUT,
    PREDICTIONS,
    RECORD,
    SCANS,
    EvaluationRecord,
    TaskRecord,
    read_record,
    write_record,
)
from neurofm.evaluation.saved_tables import derive, write_tables
from neurofm.evaluation.subgroups import scans_table
from neurofm.evaluation.testing import probe_test_parts
from neurofm.files import only_writer, sweep_unfinished
from neurofm.models.embeddings import write_embeddings
from neurofm.models.weights_record import WeightsRecord, weights_record
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store
from neurofm.training.device import choose_device
from neurofm.versions import software_record


def evaluate(
    recipe: Recipe,
    store: Store,
    weights: Path | Sequence[Given],
    folder: Path,
    *,
    allow_overlap: bool = False,
    allow_other_contract: bool = False,
    progress: Progress | None = None,
) -> EvaluationRecord:
    """Find out what encoders, and networks trained on labels, tell of a store's held-out people.

    A linear probe reads the frozen features, by folds or on the test part of each task. Weights
    with a head always predict the test part, by their head and by a probe of their encoder.

    Writes `embeddings.parquet`, `predictions.parquet`, `results.parquet`, `comparisons.parquet`,
    `calibration.parquet`, `scans.parquet`, `left_out_sites.parquet`, `subgroups.parquet` and,
    last, `evaluation.json`. A folder that already holds this very evaluation is left as it is.

    Args:
        recipe: targets, folds, repeats and the seed.
        store: the packed scans; the rows whose split is "held-out" or "test", or else all; the
            parts of each task, where these are asked for.
        weights: a run folder or weights folder, or several with their names; models are compared
            with the first.
        folder: receives the results.
        allow_overlap: go on where participants were seen in pre-training, and say so.
        allow_other_contract: go on where store and weights were preprocessed differently, and say
            so.
        progress: shown the course of encoding and probing.

    Raises:
        ConfigError: names of weights do not go together, or their parts are not the recipe's.
        ContractError: store and weights were preprocessed differently.
        LeakageError: evaluated participants were seen in training.
        RunError: nothing to evaluate, or the folder holds another evaluation.
    """
    given = (Given(weights),) if isinstance(weights, Path) else weights
    opened = open_evaluation(recipe, store, given, allow_overlap, allow_other_contract)
    with only_writer(folder):
        sweep_unfinished(folder)
        if (folder / RECORD).is_file():
            return _same_evaluation(folder, opened)
        return _evaluate(opened, store, folder, progress or SilentProgress())


def _evaluate(opened: Opened, store: Store, folder: Path, progress: Progress) -> EvaluationRecord:
    recipe, frame = opened.recipe, opened.frame
    read = read_images(opened, store, choose_device(), progress)
    shown, (first, *_) = opened.judged[0], opened.runs
    write_embeddings(
        folder / EMBEDDINGS, frame.iloc[shown], read.features[0][shown], first.card.weights_sha256,
        opened.contract,
    )  # fmt: skip
    # Small problems: several threads only wait for each other, for minutes on a busy machine.
    with threadpool_limits(1):
        predictions, tasks = _predict(opened, read, progress)
        left_out = left_out_predictions(frame, _usable(opened), read.linear_of, recipe.seed)
        tasks, uncounted = _counted(opened, store, predictions, tasks)
        warnings = uncounted + _write_tables(opened, predictions, left_out, tasks, folder)
    record = _record(opened, store, tasks, warnings, read.features[0].shape[1])
    write_record(folder, record)
    return record


def _predict(
    opened: Opened, read: Contenders, progress: Progress
) -> tuple[pd.DataFrame, tuple[TaskRecord, ...]]:
    config, seed = opened.recipe.evaluation, opened.recipe.seed
    if opened.which != "test":
        return probe_tasks(opened.frame, read.of_all(), config, seed, progress)
    return probe_test_parts(
        opened.frame, opened.tasks, read.of_task, progress,
        config=config, seed=seed, fraction=opened.recipe.split.task_train_fraction,
    )  # fmt: skip


def _write_tables(
    opened: Opened,
    predictions: pd.DataFrame,
    left_out: pd.DataFrame,
    tasks: tuple[TaskRecord, ...],
    folder: Path,
) -> tuple[str, ...]:
    """Predictions and all that follows from them; returns what a reader has to be warned of."""
    models = list(dict.fromkeys(run.model for run in opened.runs))
    scans = scans_table(opened.frame.iloc[_of_all(opened)])
    derived = derive(
        predictions, scans, left_out, tasks, opened.recipe.evaluation, opened.recipe.seed,
        models=models, ours=models[0],
    )  # fmt: skip
    saved = {PREDICTIONS: predictions, SCANS: scans, LEFT_OUT: left_out}
    write_tables(folder, {**saved, **derived.tables})
    return derived.warnings


def _same_evaluation(folder: Path, opened: Opened) -> EvaluationRecord:
    record = read_record(folder)
    if not record.is_of(opened.recipe, opened.weights, opened.data):
        raise RunError(
            "holds the evaluation of other weights, scans or settings", "choose another -o", folder
        )
    return record


def _record(
    opened: Opened,
    store: Store,
    tasks: tuple[TaskRecord, ...],
    warnings: tuple[str, ...],
    features: int,
) -> EvaluationRecord:
    frame = opened.frame.iloc[_of_all(opened)]
    people = frame.drop_duplicates(["cohort", "participant_id"])
    first = opened.runs[0].card
    known = [seen for seen in opened.overlap if seen is not None]
    return EvaluationRecord(
        recipe=opened.recipe,
        recipe_fingerprint=opened.recipe.fingerprint(),
        weights_sha256=first.weights_sha256,
        weights_recipe_fingerprint=first.recipe_fingerprint,
        contract_fingerprint=opened.contract,
        data_fingerprint=opened.data,
        spacing_mm=store.spacing_mm,
        features=features,
        rows=opened.which,
        scans=len(frame),
        participants=len(people),
        participants_by_cohort={str(k): int(n) for k, n in people["cohort"].value_counts().items()},
        pretrain_overlap=max(known) if len(known) == len(opened.runs) else None,
        tasks=tasks,
        warnings=opened.warnings + warnings,
        software=software_record(),
        weights=_weights(opened),
        preprocessing=store.contract.in_words(),
    )


def _counted(
    opened: Opened, store: Store, predictions: pd.DataFrame, tasks: tuple[TaskRecord, ...]
) -> tuple[tuple[TaskRecord, ...], tuple[str, ...]]:
    """The tasks with how often their people have been scored, and a warning where nobody knows."""
    people = {
        str(task): rows["scan_id"].unique().tolist() for task, rows in predictions.groupby("task")
    }
    counts = count_opening(store, people, opened.recipe.fingerprint())
    if counts is None:
        return tasks, (f"{OPENINGS} in the store cannot be written: this scoring is not counted.",)
    told = [task.model_copy(update={"scored": counts.get(task.task)}) for task in tasks]
    return tuple(told), ()


def _usable(opened: Opened) -> list[PartedTask | Target]:
    """The tasks that have results."""
    if opened.which == "test":
        return [task for task in opened.tasks if not task.why_not]
    config = opened.recipe.evaluation
    targets = targets_of(opened.frame, config)
    return [target for target in targets if not why_not_evaluated(target, config.folds)]


def _of_all(opened: Opened) -> Int[np.ndarray, " judged"]:
    """Places in the frame of the scans that count for any of the weights."""
    return np.unique(np.concatenate(opened.judged))


def _weights(opened: Opened) -> tuple[WeightsRecord, ...]:
    return tuple(
        weights_record(run.card, run.model, overlap)
        for run, overlap in zip(opened.runs, opened.overlap, strict=True)
    )
