"""Where to compute: a device by name, checked before any work starts."""

from __future__ import annotations

import torch

from neurofm.distributed import local_rank
from neurofm.errors import ConfigError


def choose_device(name: str = "auto") -> torch.device:
    """The device of this process.

    Args:
        name: "auto" (the GPU where there is one, else the CPU), "cpu", "cuda" or "cuda:1". With
            torchrun, "auto" and "cuda" give each process of a machine its own GPU.

    Raises:
        ConfigError: no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = _device_called(name)
    if device.type == "cpu":
        return device
    index = local_rank() if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"this machine has {torch.cuda.device_count()} GPUs", "use --device cpu or auto", name
        )
    return torch.device("cuda", index)


def _device_called(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")  # torch knows more names than neurofm computes on
    if device.type not in ("cpu", "cuda"):
        raise ConfigError("no such device", "use auto, cpu, cuda or cuda:1", name)
    return device
