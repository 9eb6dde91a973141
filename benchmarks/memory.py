"""Peak memory of forward and backward of the encoder: plain, streamed stem, checkpointed blocks.

Usage: python benchmarks/memory.py [--grid 75 96 96] [--rows 8] [--threads 1] [--json]
       python benchmarks/memory.py --full-size [--json]   (a SimCLR step of two scans, 150x192x192)

Each way runs in a process of its own; its peak is the growth of that process's memory over what it
held before the step, gradients of the weights included. Takes some minutes. CPU; float32.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

WAYS = {"plain": (), "stem": ("stem",), "blocks": ("blocks",), "both": ("stem", "blocks")}
_LIMIT = 0.40
_STATUS = Path("/proc/self/status")


def main() -> int:
    """Print a line for every way; with --json one object as the last line. 1 above the limit."""
    arguments = _arguments()
    if arguments.only:
        found = _full_step(arguments) if arguments.full_size else _measure(arguments)
        print(json.dumps(found))
        return 0
    if arguments.full_size:
        found = _in_own_process("both", arguments)
        print(f"one step of two participants: {_line(found)}")
        if arguments.json:
            print(json.dumps(found))
        return 0
    grid = "x".join(map(str, arguments.grid))
    print(
        f"{date.today()} {platform.machine()}: {arguments.rows} views of {grid}, forward, backward"
    )
    ways = {}
    for name in WAYS:
        ways[name] = _in_own_process(name, arguments)
        print(f"{name:8s} {_line(ways[name])}", flush=True)
    plain = ways["plain"]
    ratios = {name: each["peak_bytes"] / plain["peak_bytes"] for name, each in ways.items()}
    seconds = {name: each["seconds"] / plain["seconds"] for name, each in ways.items()}
    for name in list(WAYS)[1:]:
        print(f"{name:8s} {ratios[name]:.3f} of the plain peak, {seconds[name]:.2f} of its time")
    if arguments.json:
        print(json.dumps({"ways": ways, "peak_ratio": ratios["both"], "limit": _LIMIT}))
    return int(ratios["both"] > _LIMIT)


def _line(found: dict[str, float]) -> str:
    peak, kept = found["peak_bytes"] / 1e9, found["kept_bytes"] / 1e9
    return f"peak {peak:6.2f} GB, kept for backward {kept:6.2f} GB, {found['seconds']:6.0f} s"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, nargs=3, default=(75, 96, 96))
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--widths", type=int, nargs=4, default=(64, 128, 256, 512))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=WAYS, help="measure one way in this process")
    return parser.parse_args()


def _in_own_process(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    sizes = {"--grid": arguments.grid, "--widths": arguments.widths, "--rows": [arguments.rows]}
    sizes["--threads"] = [arguments.threads]
    command = [sys.executable, __file__, "--only", name]
    for flag, values in sizes.items():
        command += [flag, *map(str, values)]
    command += ["--full-size"] if arguments.full_size else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr or f"{name} ended with status {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    from neurofm.config.encoders import ResNetConfig
    from neurofm.models.encoder import build_encoder
    from neurofm.models.footprint import Saving

    torch.set_num_threads(arguments.threads)
    saving = Saving(**dict.fromkeys(WAYS[arguments.only], True))
    encoder = build_encoder(ResNetConfig(widths=tuple(arguments.widths)), saving=saving)
    encoder.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    images = torch.randn(arguments.rows, 1, *arguments.grid)
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    before, began = _resident_bytes(), time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        features = encoder(images)
    features.square().sum().backward()
    seconds = time.perf_counter() - began
    return {
        "peak_bytes": _peak_bytes() - before,
        "kept_bytes": sum(kept.values()),
        "seconds": seconds,
    }


def _full_step(arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    from neurofm.config.recipe import load_recipe
    from neurofm.data.batch import Batch
    from neurofm.training.learner import Learner
    from neurofm.training.objective import build_objective

    torch.set_num_threads(arguments.threads)
    knobs = [
        f"training.{'stream_stem' if p == 'stem' else 'checkpoint_blocks'}=true"
        for p in WAYS["both"]
    ]
    recipe = load_recipe("simclr-paper", tuple(knobs))
    objective = build_objective(recipe, 1.0)
    objective.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    learner = Learner(objective, torch.optim.Adam(objective.parameters(), lr=3e-4))
    shape = (2, 1, 150, 192, 192)
    masks = torch.zeros(shape, dtype=torch.bool)
    masks[..., 20:130, 20:170, 20:170] = True
    images = torch.rand(shape)
    before, began = _resident_bytes(), time.perf_counter()
    outcome = learner.learn_from(Batch(images, masks, (0, 1), ("a", "b"), 0))
    seconds = time.perf_counter() - began
    if outcome.is_skipped:
        sys.exit("the loss is not finite")
    return {
        "peak_bytes": _peak_bytes() - before,
        "kept_bytes": 0,
        "seconds": seconds,
        "loss": outcome.loss,
    }


def _resident_bytes() -> int:
    return _status("VmRSS") or _peak_bytes()


def _peak_bytes() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status("VmHWM") or (usage if sys.platform == "darwin" else usage * 1024)


def _status(name: str) -> int:
    """A figure of Linux's about this process, 0 elsewhere."""
    lines = _STATUS.read_text().splitlines() if _STATUS.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


if __name__ == "__main__":
    sys.exit(main())
