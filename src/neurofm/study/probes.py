"""The rows that need no training run: probes of cached features, and the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import nn

from neurofm.cohorts.task_roles import TEST
from neurofm.config.study import TaskOfStudy, effective_recipe
from neurofm.evaluation.baselines import Model, baselines
from neurofm.evaluation.given import GivenRun, architectures
from neurofm.evaluation.probing import predictions_table
from neurofm.evaluation.testing import outcome_of
from neurofm.files import atomic_path, fingerprint_of
from neurofm.models.card import Card
from neurofm.models.embeddings import embed_store
from neurofm.progress import Progress
from neurofm.study.cell_work import placed_table
from neurofm.study.cells import Place
from neurofm.study.opened import OpenedStudy
from neurofm.training.device import choose_device

Features = Float[np.ndarray, "scans features"]


@dataclass(frozen=True, eq=False)
class Encoding:
    """Where and how the study's scans are encoded; what was encoded before is read again.

    Attributes:
        opened: the study.
        folder: keeps the features, one file for each set of weights.
        device: where to compute, as in `choose_device`.
        progress: advanced by one for each scan.
    """

    opened: OpenedStudy
    folder: Path
    device: str
    progress: Progress

    def features(self, key: str, build: Callable[[], nn.Module]) -> Features:
        """The features of the study's rows.

        Args:
            key: unlike that of any other encoder.
            build: makes the encoder, should it be needed.
        """
        opened = self.opened
        path = self.folder / f"{fingerprint_of([key, opened.data])}.npy"
        if path.is_file():
            return np.asarray(np.load(path))
        rows, place = [int(row) for row in opened.rows], choose_device(self.device)
        found = embed_store(build(), opened.store, rows, place, self.progress)
        with atomic_path(path) as temporary:
            np.save(temporary, found)
        return found

    def of(self, run: GivenRun) -> Features:
        """The features by one of the study's encoders."""
        return self.features(run.card.weights_sha256, run.encoder)


def probe_rows(encoding: Encoding) -> pd.DataFrame:
    """Predictions of every task and share by all probes and baselines."""
    opened, progress = encoding.opened, encoding.progress
    probed, random = _probed(encoding), random_rows(encoding)
    # Small problems: several threads only wait for each other.
    with threadpool_limits(1):
        work = list(_work(opened, [*probed, *random]))
        tables = []
        progress.start("Probing", len(work), "probes")
        for task, fraction, model, repeat in work:
            tables.append(_predicted(opened, task, fraction, model, repeat))
            progress.advance(note=f"{task.name}: {model.name}")
        progress.finish()
    return pd.concat(tables, ignore_index=True)


def _probed(encoding: Encoding) -> list[Model]:
    opened = encoding.opened
    rows: list[Model] = []
    for model in opened.study.models:
        if model.recipe is None and model.encoder is not None:
            features = encoding.of(opened.encoders[model.encoder])
            rows.append(Model(model.name, (features,), model.probe))
    return rows


def random_rows(encoding: Encoding) -> list[Model]:
    """The rows of encoders with random weights, one for each architecture of the study."""
    opened = encoding.opened
    known = [*opened.encoders.values(), *_from_scratch(opened)]
    return [
        Model(name, tuple(_random(encoding, run))) for name, run in architectures(known).items()
    ]


def _from_scratch(opened: OpenedStudy) -> Iterator[GivenRun]:
    """The models that start from no weights, as far as an architecture goes."""
    for model in opened.study.models:
        if model.recipe is not None and model.encoder is None:
            config = effective_recipe(opened.study, model.recipe, model.changes).encoder
            card = Card(
                encoder=config, features=config.features, spacing_mm=opened.store.spacing_mm
            )
            yield GivenRun(model.name, Path(), card)


def _random(encoding: Encoding, run: GivenRun) -> Iterator[Features]:
    study, kind = encoding.opened.study, fingerprint_of(run.card.encoder.model_dump(mode="json"))
    for repeat in range(study.evaluation.seeds):
        key = f"random {kind} {study.seed} {repeat}"
        yield encoding.features(key, partial(run.random_encoder, study.seed, repeat))


def _work(
    opened: OpenedStudy, models: list[Model]
) -> Iterator[tuple[TaskOfStudy, float, Model, int]]:
    study = opened.study
    for task in study.tasks:
        for model in [*models, *baselines(opened.frame, task.target)]:
            for fraction in study.fractions:
                # Nothing is drawn but where the paper's layer begins.
                runs = study.seeds if fraction == 1 else study.fraction_seeds
                for repeat in range(runs if model.reader == "paper" else len(model.repeats)):
                    yield task, fraction, model, repeat


def _predicted(
    opened: OpenedStudy, task: TaskOfStudy, fraction: float, model: Model, repeat: int
) -> pd.DataFrame:
    parted = opened.tasks[task.name, fraction]
    outcome = outcome_of(opened.frame, parted, model, repeat, opened.study.seed)
    table = predictions_table(opened.frame, parted.target_of(TEST), model.name, repeat, outcome)
    return placed_table(table, Place(task.name, model.name, fraction, repeat))
