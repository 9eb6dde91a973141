"""What is done in a cell: train, predict the test part once, write the predictions."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from neurofm.cohorts.task_roles import TEST, VALIDATION
from neurofm.config.objectives import SupervisedConfig
from neurofm.errors import NeurofmError
from neurofm.evaluation.contenders import as_trained
from neurofm.evaluation.given import GivenRun
from neurofm.evaluation.parts import divide
from neurofm.evaluation.probing import predictions_table
from neurofm.files import atomic_path, read_json, write_json
from neurofm.models.embeddings import embed_store
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.store.reader import Store, open_store
from neurofm.study.cells import CELL, PREDICTIONS, RUN, Cell, CellOutcome, Place
from neurofm.training.device import choose_device
from neurofm.training.fit import Manner, StartingPoint, train
from neurofm.training.stopping import RunStoppedError


def work_on(cell: Cell) -> CellOutcome:
    """Train a cell's network and let it predict; an interrupted run goes on where it was.

    Raises:
        RunStoppedError: a signal came; the checkpoint is saved.
    """
    started = time.monotonic()
    try:
        store = open_store(cell.store)
        _train(cell, store)
        table = _predict(cell, store)
    except RunStoppedError:
        raise
    except NeurofmError as error:
        return cell.failed("train", "refused", str(error))
    with atomic_path(cell.folder / PREDICTIONS) as temporary:
        table.to_parquet(temporary, index=False)
    seconds = round(time.monotonic() - started, 1)
    write_json(cell.folder / CELL, {"fingerprint": cell.fingerprint(), "seconds": seconds})
    return CellOutcome(cell.place, None)


def is_done(cell: Cell) -> bool:
    """Whether the predictions of this very cell are there already."""
    path = cell.folder / CELL
    return path.is_file() and read_json(path).get("fingerprint") == cell.fingerprint()


def _train(cell: Cell, store: Store) -> None:
    start = StartingPoint(cell.weights, cell.allow_overlap, cell.allow_other_contract)
    train(
        cell.recipe, store, cell.folder / RUN, choose_device(cell.device), start=start,
        how=Manner(keep=1),
    )  # fmt: skip


def _predict(cell: Cell, store: Store) -> pd.DataFrame:
    objective = cell.recipe.objective
    assert isinstance(objective, SupervisedConfig)
    parted = divide(store.index, objective.target, cell.recipe.split, objective.classes)
    rows = np.sort(parted.target.rows)
    task, frame = parted.placed(rows), store.index.loc[rows].reset_index(drop=True)
    run = GivenRun(cell.place.model, cell.folder / RUN, load_weights(cell.folder / RUN).card)
    # Validation chooses the threshold, and shows the bias.
    read = task.target.rows[task.part(TEST) | task.part(VALIDATION)]
    found = embed_store(
        run.encoder(), store, [int(row) for row in rows[read]], choose_device(cell.device),
        SilentProgress(),
    )  # fmt: skip
    features = np.full((len(rows), found.shape[1]), np.nan, np.float32)
    features[read] = found
    outcome = as_trained(cell.place.model, [run], [features]).outcome(task, 0)
    table = predictions_table(frame, task.target_of(TEST), cell.place.model, 0, outcome)
    return placed_table(table, cell.place)


def placed_table(table: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Predictions with the task, seed and share that they are of."""
    return table.assign(task=place.task, seed=place.seed, fraction=place.fraction)
