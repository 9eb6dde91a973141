"""What reads images: every given model, and its architecture with weights as initialised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.config.learning import EvaluationConfig
from neurofm.evaluation.baselines import NEAREST, OF_PAPER, Model
from neurofm.evaluation.bias_line import fit_bias_line
from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.given import GivenRun, architectures, probe_name
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.opening import Opened
from neurofm.evaluation.operating_point import choose_threshold
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import decide
from neurofm.models.embeddings import embed_store
from neurofm.models.head import HeadCard, said_by
from neurofm.models.weights import load_head
from neurofm.progress import Progress
from neurofm.store.reader import Store

Features = Float[np.ndarray, "scans features"]


@dataclass(frozen=True, eq=False)
class AsTrained:
    """A row of the table that needs no probe: networks that say themselves what they predict.

    Attributes:
        name: as the table shows it.
        repeats: of each network a row a scan: the number, or the probabilities of the classes.
        balanced: of each network whether all classes weighed the same when it was trained.
        fractions: of each network the share of the training part that it has learnt from.
    """

    name: str
    repeats: tuple[Float[np.ndarray, "scans values"], ...]
    balanced: tuple[bool, ...]
    fractions: tuple[float, ...]

    def outcome(self, task: PartedTask, repeat: int) -> Outcome:
        """What one network says of the test part."""
        test, validation = task.target_of(TEST), task.target_of(VALIDATION)
        said = self.repeats[repeat][test.rows].astype(np.float64)
        folds = np.zeros(len(test.rows), np.int64)
        if not test.classes:
            bias = fit_bias_line(
                self.repeats[repeat][validation.rows, 0].astype(np.float64), validation.values,
                participant_weights(validation.participants),
            )  # fmt: skip
            corrected = bias.taken_from(said[:, 0], test.values)
            nothing = np.zeros((len(said), 0))
            return Outcome(test.values, said[:, 0], nothing, folds, corrected=corrected)
        shares = np.full(len(test.classes), 1 / len(test.classes))
        if not self.balanced[repeat]:
            train = task.target_of(TRAIN)
            weights = participant_weights(train.participants)
            shares = np.bincount(train.values.astype(int), weights, len(shares)) / weights.sum()
        thresholds = np.full(len(said), self._threshold(task, repeat))
        return Outcome(test.values, decide(said, shares), said, folds, thresholds)

    def _threshold(self, task: PartedTask, repeat: int) -> float:
        validation = task.target_of(VALIDATION)
        if len(validation.classes) != 2:
            return float("nan")
        score = self.repeats[repeat][validation.rows, 1].astype(np.float64)
        weights = participant_weights(validation.participants)
        return choose_threshold(validation.values == 1, score, weights)


@dataclass(frozen=True, eq=False)
class Contenders:
    """Features of the evaluated scans by every given run and by random encoders.

    Attributes:
        runs: as given.
        features: of each run.
        random: one row of the table for each architecture.
        config: how features are read.
    """

    runs: tuple[GivenRun, ...]
    features: tuple[Features, ...]
    random: tuple[Model, ...]
    config: EvaluationConfig

    def of_all(self) -> list[Model]:
        """Rows that are probed, runs of one name being repeats, and the random ones."""
        return [*self._probed(self.runs), *self.random]

    def of_task(self, task: str) -> list[Model | AsTrained]:
        """Rows of the table of one task; what was trained on another one's labels is left out."""
        rows: list[Model | AsTrained] = []
        for name, runs in by_model([run for run in self.runs if run.is_about(task)]).items():
            if runs[0].target is None:
                rows += self._probed(runs)
                continue
            rows.append(as_trained(name, runs, [self._of(run) for run in runs]))
            rows += self._read(probe_name(name), runs)
        return [*rows, *self.random]

    def linear_of(self, task: str) -> list[Model]:
        """Rows of the linear probes of given encoders, in one task."""
        named = by_model([run for run in self.runs if run.is_about(task)]).items()
        return [
            Model(name if runs[0].target is None else probe_name(name), tuple(map(self._of, runs)))
            for name, runs in named
        ]

    def _probed(self, runs: Sequence[GivenRun]) -> list[Model]:
        named = by_model(runs).items()
        return [row for name, repeats in named for row in self._read(name, repeats)]

    def _read(self, name: str, runs: Sequence[GivenRun]) -> list[Model]:
        """The rows of one name's features, the usual reading first."""
        repeats = tuple(self._of(run) for run in runs)
        rows = [Model(name, repeats, _usual(self.config))]
        if self.config.probe == "both":
            rows.append(Model(f"{name}, {OF_PAPER}", repeats, "paper"))
        if self.config.neighbours:
            rows.append(Model(f"{name}, {NEAREST}", repeats, "neighbours"))
        return rows

    def _of(self, run: GivenRun) -> Features:
        return self.features[self.runs.index(run)]


def as_trained(name: str, runs: Sequence[GivenRun], features: Sequence[Features]) -> AsTrained:
    """The row of networks with heads, from what their encoders made of the evaluated scans."""
    said = tuple(_said(run, own) for run, own in zip(runs, features, strict=True))
    return AsTrained(name, said, tuple(map(_is_balanced, runs)), tuple(map(_fraction, runs)))


def by_model(runs: Sequence[GivenRun]) -> dict[str, list[GivenRun]]:
    """The runs of each name, in the order given."""
    found: dict[str, list[GivenRun]] = {}
    for run in runs:
        found.setdefault(run.model, []).append(run)
    return found


def read_images(
    opened: Opened, store: Store, device: torch.device, progress: Progress
) -> Contenders:
    """Encode the evaluated scans by every run, and by random encoders of each architecture."""
    recipe, rows = opened.recipe, opened.rows
    features = tuple(
        embed_store(run.encoder(), store, rows, device, progress) for run in opened.runs
    )
    random = tuple(
        Model(
            name,
            tuple(
                embed_store(run.random_encoder(recipe.seed, repeat), store, rows, device, progress)
                for repeat in range(recipe.evaluation.seeds)
            ),
            _usual(recipe.evaluation),
        )
        for name, run in architectures(opened.runs).items()
    )
    return Contenders(opened.runs, features, random, recipe.evaluation)


def _usual(config: EvaluationConfig) -> Literal["linear", "paper"]:
    return "paper" if config.probe == "paper" else "linear"


def _said(run: GivenRun, features: Features) -> Float[np.ndarray, "scans values"]:
    return said_by(load_head(run.folder), _head(run), features)


def _head(run: GivenRun) -> HeadCard:
    assert run.card.head is not None
    return run.card.head


def _is_balanced(run: GivenRun) -> bool:
    recipe = run.card.recipe or {}
    objective = recipe.get("objective")
    weights = objective.get("class_weights") if isinstance(objective, dict) else None
    return weights != "none"


def _fraction(run: GivenRun) -> float:
    split = (run.card.recipe or {}).get("split")
    fraction = split.get("task_train_fraction") if isinstance(split, dict) else None
    return fraction if isinstance(fraction, float) else 1.0
