"""Weights as an ONNX file, kept only where onnxruntime gives what PyTorch gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor, nn

from neurofm.data.prepare import zscore_in_mask
from neurofm.errors import ConfigError, RunError
from neurofm.files import atomic_path, require_writable
from neurofm.models.card import Card
from neurofm.models.head import HeadCard
from neurofm.models.onnx_file import require_onnx, run_onnx, write_onnx
from neurofm.models.weights import LoadedWeights, encoder_of, head_of, load_weights
from neurofm.progress import Progress, SilentProgress
from neurofm.seeds import random_stream
from neurofm.versions import package_version
from neurofm.volumes.grids import model_shape

TOLERANCE = 1e-4
EMBEDDING, PREDICTION, LOGITS = "embedding", "prediction", "logits"
_STEPS = 3  # written, run by PyTorch, run by onnxruntime


@dataclass(frozen=True)
class Exported:
    """A file that passed.

    Attributes:
        outputs: their names.
        deviations: of each, the largest difference from PyTorch over the largest value.
        file_bytes: of the file.
    """

    outputs: tuple[str, ...]
    deviations: tuple[float, ...]
    file_bytes: int


class _Both(nn.Module):
    """Embedding, and what the head says of it: a number in the target's unit, or logits."""

    def __init__(self, encoder: nn.Module, linear: nn.Linear, head: HeadCard) -> None:
        super().__init__()
        self.encoder, self.linear = encoder, linear
        is_number = head.kind == "regression"
        self._scale, self._offset = (head.spread, head.mean) if is_number else (1.0, 0.0)

    def forward(self, volumes: Tensor) -> tuple[Tensor, Tensor]:
        """Both of volumes (batch, 1, depth, height, width)."""
        features = self.encoder(volumes)
        return features, self.linear(features) * self._scale + self._offset


def export_weights(
    weights: Path,
    output: Path,
    *,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Exported:
    """Write encoder and head to an ONNX file, and compare it with PyTorch on a brain-like volume.

    Args:
        weights: run folder or weights folder.
        output: the file, .onnx; it appears only where the comparison passes.
        tolerance: the largest difference that passes, as a share of an output's largest value.
        progress: told about writing and both runs.

    Raises:
        ConfigError: the tolerance is no positive number.
        MissingDependencyError: a library is not installed.
        RunError: `output` exists, cannot be written or has another ending, or the file gives
            other numbers than PyTorch.
        WeightsError: the weights cannot be loaded.
    """
    if output.suffix != ".onnx":
        raise RunError("has another ending than .onnx", "name the file so", output)
    if output.exists():
        raise RunError("exists already", "remove it, or choose another -o", output)
    if not tolerance > 0:
        raise ConfigError(f"{tolerance:g} is no positive number", "1e-4 is usual", "--tolerance")
    require_onnx()
    loaded, progress = load_weights(weights), progress or SilentProgress()
    card = loaded.card
    network, outputs = _network_of(loaded)
    require_writable(output)
    volume = brain_like(card.spacing_mm)
    progress.start("Exporting", _STEPS, "steps")
    with atomic_path(output) as temporary:
        # two, because the exporter takes a size of 1 for fixed; shapes count, not numbers
        write_onnx(temporary, network, volume.expand(2, -1, -1, -1, -1), outputs, _facts(card))
        progress.advance()
        wanted = _run_torch(network, volume)
        progress.advance()
        deviations = tuple(
            deviation_of(one, other)
            for one, other in zip(wanted, run_onnx(temporary, volume), strict=True)
        )
        progress.advance()
        progress.finish()
        for name, deviation in zip(outputs, deviations, strict=True):
            if not deviation <= tolerance:
                raise RunError(
                    f"{name} differs from PyTorch's by {deviation:.2g} of its largest value, more "
                    f"than {tolerance:g}; no file is left",
                    "compare library versions, or allow it with --tolerance", output,
                )  # fmt: skip
    return Exported(outputs, deviations, output.stat().st_size)


def brain_like(spacing_mm: float) -> Float[Tensor, "1 1 depth height width"]:
    """A volume as an encoder takes it: smooth texture in an ellipsoid, z-scored, 0 outside it."""
    shape = model_shape(spacing_mm)
    noise = random_stream("a brain-like volume").normal(size=shape).astype(np.float32)
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    inside = sum((axis / 0.8) ** 2 for axis in axes) < 1
    smooth = ndimage.gaussian_filter(noise, 3.0 / spacing_mm)
    images, masks = (torch.from_numpy(np.asarray(each))[None, None] for each in (smooth, inside))
    return zscore_in_mask(images, masks)


def deviation_of(
    wanted: Float[np.ndarray, "batch values"], found: Float[np.ndarray, "batch values"]
) -> float:
    """The largest difference over the largest value; inf for other shapes or what is not finite."""
    if wanted.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    largest, difference = float(np.abs(wanted).max()), float(np.abs(wanted - found).max())
    return difference / largest if largest else difference


def _network_of(loaded: LoadedWeights) -> tuple[nn.Module, tuple[str, ...]]:
    """The plain network, which computes nothing twice, and the names of what it gives."""
    encoder, head = encoder_of(loaded), loaded.card.head
    if head is None:
        return encoder, (EMBEDDING,)
    both = _Both(encoder, head_of(loaded), head).eval()
    return both, (EMBEDDING, PREDICTION if head.kind == "regression" else LOGITS)


@torch.inference_mode()
def _run_torch(network: nn.Module, volume: Tensor) -> list[np.ndarray]:
    found = network(volume)
    parts = found if isinstance(found, tuple) else (found,)
    return [np.asarray(part.float().numpy()) for part in parts]


def _facts(card: Card) -> dict[str, str]:
    """What the file says of itself: no path, no text of the card, nobody."""
    facts = {
        "neurofm": package_version("neurofm") or "unknown",
        "weights_sha256": card.weights_sha256,
        "contract_fingerprint": card.contract_fingerprint or "",
        "spacing_mm": f"{card.spacing_mm:g}",
        "input": "z-scored inside the brain, 0 outside; z y x order, template space",
    }
    if card.head is not None:
        facts["target"], facts["kind"] = card.head.target, card.head.kind
        facts["classes"] = json.dumps(list(card.head.classes))
    return facts
