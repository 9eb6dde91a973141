"""Where scans are encoded, and how many at once: an embedding depends on neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neurofm.data.batch import Batch
from neurofm.errors import ConfigError, RunError
from neurofm.models.embeddings import scans_at_once
from neurofm.models.encoding import encode, encode_volumes
from neurofm.training.device import choose_device
from neurofm.training.memory import full_memory_told


@dataclass(frozen=True)
class Computing:
    """Where scans are encoded, and how many at once; made by `choose_computing`.

    Attributes:
        device: where.
        batch_size: how many; None for as many as the memory of a small GPU is meant for.
    """

    device: torch.device
    batch_size: int | None = None

    def scans_at_once(self, shape: Sequence[int]) -> int:
        """How many volumes of a shape make a batch."""
        return self.batch_size or scans_at_once(shape)

    def features(self, encoder: nn.Module, batch: Batch) -> Float[np.ndarray, "scans features"]:
        """Features of a batch by a frozen encoder; see `encode`.

        Raises:
            RunError: the batch does not fit into the memory.
        """
        with full_memory_told(lambda what: _too_many(what, len(batch))):
            return np.asarray(encode(encoder, [batch], self.device))

    def features_of_volumes(
        self, encoder: nn.Module, volumes: Float[Tensor, "batch 1 depth height width"]
    ) -> Float[np.ndarray, "scans features"]:
        """The same of volumes that are z-scored already."""
        with full_memory_told(lambda what: _too_many(what, len(volumes))):
            return np.asarray(encode_volumes(encoder, [volumes], self.device))


def choose_computing(device: str = "auto", batch_size: int | None = None) -> Computing:
    """Where to encode and how many scans at once, checked before any work starts.

    Args:
        device: see `choose_device`.
        batch_size: scans that pass through the encoder together; None leaves it to neurofm.

    Raises:
        ConfigError: no such device, or a batch of no scan.
    """
    if batch_size is not None and batch_size < 1:
        what = f"{batch_size} scans make no batch"
        raise ConfigError(what, "give 1 or more, or leave it out", "--batch-size")
    return Computing(choose_device(device), batch_size)


def _too_many(what: str, scans: int) -> RunError:
    mend = "give a smaller --batch-size" if scans > 1 else "use --device cpu, or another machine"
    return RunError(f"{what} with {scans} scans at once", mend)
