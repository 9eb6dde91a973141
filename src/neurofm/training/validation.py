"""Validation between epochs: which checkpoint of a supervised run is the one to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from neurofm.config.tuning import ChoosingConfig
from neurofm.data.loader import ScanLoader
from neurofm.data.prepare import zscore_in_mask
from neurofm.errors import RunError
from neurofm.files import atomic_path
from neurofm.models.lora import merged_state
from neurofm.objectives.supervised import Supervised
from neurofm.store.reader import Store
from neurofm.training.conformity import NO_SCORES, Judged, KeptScores, honest_scores, value_of
from neurofm.training.position import Position
from neurofm.training.run_log import RunLog, finite_or_none, read_log
from neurofm.training.task import Task
from neurofm.training.validation_metrics import Choice, choose_metric

_BEST = "best-{epoch:04d}.safetensors"
_JUDGED = "validation/epoch-{epoch:04d}.npy"  # predictions and, last, the loss of each scan
_VOXELS_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class ValidationLine:
    """The line of the log after an epoch.

    Attributes:
        epochs_done: by then.
        step: by then.
        metric: what was measured.
        better: which way is better.
        value: of the metric on the validation part, scans weighted so that people count alike.
        loss: on the validation part, as in training.
        is_best: no earlier epoch was better.
    """

    epochs_done: int
    step: int
    metric: str
    better: Literal["lower", "higher"]
    value: float
    loss: float
    is_best: bool
    kind: Literal["validation"] = "validation"

    def as_json(self) -> dict[str, Any]:
        """A number that is not finite becomes null."""
        return {name: finite_or_none(value) for name, value in vars(self).items()}

    def scalars(self) -> Mapping[str, float]:
        """What TensorBoard is given."""
        return {f"validation/{self.metric}": self.value, "validation/loss": self.loss}


class Validation:
    """Judges the weights after each epoch; lives in the first process.

    The best weights are in `best-EPOCH.safetensors`; an older best goes only when a checkpoint of
    a later epoch is safe, so that a run that falls back to it finds them again.

    Args:
        folder: the run's.
        objective: without the wrapper of several processes.
        task: labels and parts.
        store: open.
        device: where the objective is.
        config: metric and patience.
        log: open; its earlier lines say which epoch was the best.

    Raises:
        RunError: the metric means nothing for this task.
    """

    def __init__(
        self,
        folder: Path,
        objective: Supervised,
        task: Task,
        store: Store,
        *,
        device: torch.device,
        config: ChoosingConfig,
        log: RunLog,
    ) -> None:
        self._folder, self._objective, self._task = folder, objective, task
        self._store, self._device, self._config, self._log = store, device, config, log
        self._choice: Choice = choose_metric(task, config)
        lines = [line for line in read_log(folder) if line["kind"] == "validation"]
        self._done = lines[-1]["epochs_done"] if lines else 0
        best = [line for line in lines if line["is_best"]]
        self._best = (best[-1]["epochs_done"], best[-1]["value"]) if best else (0, math.nan)

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        waited = self._done - self._best[0]
        return bool(self._config.patience_epochs) and waited >= self._config.patience_epochs

    @property
    def best(self) -> tuple[str, float, int]:
        """Metric, value and epoch of the best weights."""
        return self._choice.metric, self._best[1], self._best[0]

    def after_epoch(self, position: Position) -> None:
        """Measure, log, and keep the weights if they are the best so far."""
        outputs, said = self.predict(self._task.validation)
        known = np.array([self._task.values[int(row)] for row in self._task.validation.index])
        losses = self._objective.losses(torch.from_numpy(outputs), torch.from_numpy(known)).numpy()
        judged, every = Judged(said, losses), np.ones(len(known), dtype=bool)
        self._keep(judged, position.epoch)
        loss, value = float(losses.mean()), value_of(judged, known, self._choice, every)
        is_best = self._best[0] == 0 or self._choice.is_better(value, self._best[1])
        self._done = position.epoch
        if is_best:
            self._best = (position.epoch, value)
            state = merged_state(self._objective)
            tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
            with atomic_path(self._folder / _BEST.format(epoch=position.epoch)) as temporary:
                save_file(tensors, temporary)
        choice = self._choice
        self._log.add(
            ValidationLine(position.epoch, position.step, choice.metric, choice.better, value, loss,
                           is_best)
        )  # fmt: skip

    def scores(self) -> KeptScores:
        """Scores for intervals (see `honest_scores`); none if an epoch is not kept."""
        paths = [self._folder / _JUDGED.format(epoch=each + 1) for each in range(self._done)]
        if not all(path.is_file() for path in paths):
            return NO_SCORES
        kept = [np.load(path, allow_pickle=False) for path in paths]
        epochs = [Judged(table[:, :-1], table[:, -1]) for table in kept]
        return honest_scores(self._task, self._config, epochs)

    def settle(self) -> None:
        """Drop older best weights: a checkpoint of this epoch is safe now."""
        for path in self._folder.glob(_BEST.format(epoch=0).replace("0000", "*")):
            if path.name != _BEST.format(epoch=self._best[0]):
                path.unlink()

    def best_state(self) -> dict[str, Tensor]:
        """The objective's tensors as they were after the best epoch, adapters merged.

        Raises:
            RunError: the file is gone.
        """
        path = self._folder / _BEST.format(epoch=self._best[0])
        if not path.is_file():
            raise RunError("the best weights are gone", "start again in another -o", path)
        state: dict[str, Tensor] = load_file(path)
        return state

    def _keep(self, judged: Judged, epoch: int) -> None:
        with atomic_path(self._folder / _JUDGED.format(epoch=epoch)) as temporary:
            np.save(temporary, np.column_stack([judged.said, judged.losses]))

    def predict(
        self, frame: pd.DataFrame
    ) -> tuple[Float[np.ndarray, "scans outputs"], Float[np.ndarray, "scans values"]]:
        """Outputs and predictions of scans, in evaluation mode and without augmentation."""
        rows = [int(row) for row in frame.index]
        at_once = max(1, _VOXELS_AT_ONCE // math.prod(self._store.shape))
        parts = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
        was_training = self._objective.training
        self._objective.eval()
        outputs, said = [], []
        with torch.inference_mode():
            for batch in ScanLoader(self._store).batches(parts):
                moved = batch.to(self._device)
                pair = self._objective.predict(zscore_in_mask(moved.images, moved.masks))
                outputs.append(pair[0].cpu().numpy())
                said.append(pair[1].cpu().numpy())
        self._objective.train(was_training)
        return np.concatenate(outputs), np.concatenate(said)
