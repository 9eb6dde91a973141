"""The protocol: tasks x models x repeats on frozen features, from a store to saved results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from neurofm.config.recipe import Recipe
from neurofm.errors import RunError
from neurofm.evaluation.baselines import PRETRAINED, RANDOM, Model
from neurofm.evaluation.opening import Opened, open_evaluation
from neurofm.evaluation.probing import probe_tasks
from neurofm.evaluation.record import (
    COMPARISONS,
    EMBEDDINGS,
    PREDICTIONS,
    RECORD,
    RESULTS,
    EvaluationRecord,
    TaskRecord,
    read_record,
    write_record,
)
from neurofm.evaluation.results import Tables, tabulate
from neurofm.files import atomic_path, only_writer, sweep_unfinished
from neurofm.models.embeddings import embed_store, write_embeddings
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store
from neurofm.training.device import choose_device
from neurofm.versions import software_record


def evaluate(
    recipe: Recipe,
    store: Store,
    weights: Path,
    folder: Path,
    *,
    allow_overlap: bool = False,
    allow_other_contract: bool = False,
    progress: Progress | None = None,
) -> EvaluationRecord:
    """Embed a store's held-out scans and find out what a linear probe reads from them.

    Writes `embeddings.parquet`, `predictions.parquet`, `results.parquet`, `comparisons.parquet`
    and, last, `evaluation.json`. A folder that already holds this very evaluation is left as it
    is.

    Args:
        recipe: targets, folds, repeats and the seed.
        store: the packed scans; the rows whose split is "held-out" or "test", or else all.
        weights: run folder or weights folder.
        folder: receives the results.
        allow_overlap: go on where participants were seen in pre-training, and say so.
        allow_other_contract: go on where store and weights were preprocessed differently, and say
            so.
        progress: shown the course of encoding and probing.

    Raises:
        ContractError: store and weights were preprocessed differently.
        LeakageError: evaluated participants were seen in pre-training.
        RunError: nothing to evaluate, or the folder holds another evaluation.
    """
    opened = open_evaluation(recipe, store, weights, allow_overlap, allow_other_contract)
    with only_writer(folder):
        sweep_unfinished(folder)
        if (folder / RECORD).is_file():
            return _same_evaluation(folder, opened)
        return _evaluate(opened, store, folder, progress or SilentProgress())


def _evaluate(opened: Opened, store: Store, folder: Path, progress: Progress) -> EvaluationRecord:
    recipe, frame = opened.recipe, opened.frame
    device = choose_device()
    features = embed_store(opened.encoder, store, opened.rows, device, progress)
    write_embeddings(folder / EMBEDDINGS, frame, features, opened.model, opened.contract)
    random = tuple(
        embed_store(opened.random_encoder(repeat), store, opened.rows, device, progress)
        for repeat in range(recipe.evaluation.seeds)
    )
    encoders = [Model(PRETRAINED, (features,)), Model(RANDOM, random)]
    # Small problems: several threads only wait for each other, for minutes on a busy machine.
    with threadpool_limits(1):
        predictions, tasks = probe_tasks(frame, encoders, recipe.evaluation, recipe.seed, progress)
    tables = tabulate(predictions, tasks, recipe.evaluation, recipe.seed)
    _write_table(predictions, folder / PREDICTIONS)
    _write_table(tables.results, folder / RESULTS)
    _write_table(tables.comparisons, folder / COMPARISONS)
    record = _record(opened, store, tasks, tables, features.shape[1])
    write_record(folder, record)
    return record


def _same_evaluation(folder: Path, opened: Opened) -> EvaluationRecord:
    record = read_record(folder)
    if not record.is_of(opened.recipe, opened.model, opened.data):
        raise RunError(
            "holds the evaluation of other weights, scans or settings", "choose another -o", folder
        )
    return record


def _record(
    opened: Opened, store: Store, tasks: tuple[TaskRecord, ...], tables: Tables, features: int
) -> EvaluationRecord:
    frame = opened.frame
    people = frame.drop_duplicates(["cohort", "participant_id"])
    return EvaluationRecord(
        recipe=opened.recipe,
        recipe_fingerprint=opened.recipe.fingerprint(),
        weights_sha256=opened.model,
        weights_recipe_fingerprint=opened.card.recipe_fingerprint,
        contract_fingerprint=opened.contract,
        data_fingerprint=opened.data,
        spacing_mm=store.spacing_mm,
        features=features,
        rows=opened.which,
        scans=len(frame),
        participants=len(people),
        participants_by_cohort={str(k): int(n) for k, n in people["cohort"].value_counts().items()},
        pretrain_overlap=opened.overlap,
        tasks=tasks,
        warnings=opened.warnings + tables.warnings,
        software=software_record(),
    )


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)
