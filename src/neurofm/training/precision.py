"""Number format and memory order: what the encoder is computed in, chosen once and recorded."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from neurofm.config.learning import TrainingConfig

SLOW_BF16 = (
    "training.precision=bf16 without units for it: slower than float32, on some CPUs 37 times, and "
    "wrong gradients on coarse grids with some versions of torch; use auto or float32 unless this "
    "is meant"
)


@dataclass(frozen=True)
class Numerics:
    """How a process computes; what `auto` in the recipe came to on its device.

    Attributes:
        precision: of convolutions and linear layers; weights, optimiser, batch norm's statistics
            and the loss are float32 in both.
        tf32: whether a GPU may round the factors of float32 convolutions; matrix products never.
        channels_last: whether the channels of a voxel lie side by side in memory.
        compile: whether the encoder passes through torch.compile.
        warning: what the user should know before the run, such as bf16 on a CPU; may be empty.
    """

    precision: Literal["float32", "bf16"]
    tf32: bool
    channels_last: bool
    compile: bool
    warning: str = ""


def choose_numerics(training: TrainingConfig, device: torch.device) -> Numerics:
    """What the recipe's knobs mean on a device; `auto` changes neither of them on a CPU."""
    has_bf16 = _has_bf16(device)
    precision = training.precision
    if precision == "auto":
        precision = "bf16" if has_bf16 else "float32"
    channels_last = training.channels_last
    if channels_last == "auto":
        channels_last = device.type == "cuda"
    return Numerics(
        precision,
        training.tf32,
        channels_last,
        training.compile,
        SLOW_BF16 if precision == "bf16" and not has_bf16 else "",
    )


def apply_numerics(objective: nn.Module, encoder: nn.Module, numerics: Numerics) -> None:
    """Lay out `objective`, compile its `encoder` and set TF32, for this whole process.

    In place, before the optimiser is made. No parameter is renamed: the compiled encoder stays
    the same module.
    """
    if numerics.channels_last:
        objective.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    if numerics.compile:
        encoder.compile()
    torch.backends.cudnn.allow_tf32 = numerics.tf32
    torch.backends.cuda.matmul.allow_tf32 = False


def autocast(numerics: Numerics, device: torch.device) -> AbstractContextManager[object]:
    """Where the encoder is computed in bf16 if that is chosen; needs no gradient scaler."""
    if numerics.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def numerics_record(numerics: Numerics, device: torch.device) -> dict[str, str]:
    """What `software.json` says of precision, layout and, on a GPU, of the card and its libraries.

    Holds no host name.
    """
    on_gpu = device.type == "cuda"
    record = {
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "precision": numerics.precision,
        "tf32_convolutions": _word(numerics.tf32) if on_gpu else "not on this device",
        "tf32_matrix_products": "no" if on_gpu else "not on this device",
        "channels_last": _word(numerics.channels_last),
        "compile": _word(numerics.compile),
    }
    if on_gpu:
        record |= {"cuda": str(torch.version.cuda), "cudnn": str(_cudnn_version())}
    return record


def _has_bf16(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cudnn_version() -> int | None:
    version: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return version


def _word(claim: bool) -> str:
    return "yes" if claim else "no"
