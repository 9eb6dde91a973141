"""What this machine's GPU does with the paper's model: one command, no network, no data.

Usage: python benchmarks/gpu.py [--quick] [--json] [--device cuda:1] [--results FOLDER]
       python benchmarks/gpu.py --cpu-rehearsal   (the same code on a CPU, at a tiny grid)

At 150x192x192: step time and peak memory in float32 and bf16 and with what saves memory, the
largest batch that fits, the time of reading, views, forward and backward, a masked autoencoder's
step, the hours of the paper's pre-training, and whether the GPU gives the numbers of the CPU. About
9 minutes, 5 with --quick. The tables also go to benchmarks/results/gpu-DEVICE.txt; --json prints
all of it as the last line.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from bench_store import write_derivatives
from gpu_checks import Check, all_checks
from gpu_mae import mae_stage, mask_counts, measure_mae
from gpu_steps import (
    Option,
    Stage,
    Step,
    largest_batch,
    measure_option,
    memory_of,
    now,
    release_memory,
    time_split,
)

from neurofm.config.preparation import StoreConfig
from neurofm.data.loader import ScanLoader
from neurofm.store.packing import pack
from neurofm.store.reader import open_store

_FLOAT32, _BF16 = {"training.precision": "float32"}, {"training.precision": "bf16"}
_BLOCKS, _STEM = {"training.checkpoint_blocks": True}, {"training.stream_stem": True}
PLAIN = (Option("float32", _FLOAT32), Option("bf16", _BF16))
SAVING = (
    Option("bf16, checkpointed blocks", _BF16 | _BLOCKS),
    Option("bf16, streamed stem", _BF16 | _STEM),
    Option("bf16, stem and blocks", _BF16 | _BLOCKS | _STEM),
)
FURTHER = (
    Option("float32 without TF32", _FLOAT32 | {"training.tf32": False}),
    Option("float32, stem and blocks", _FLOAT32 | _BLOCKS | _STEM),
    Option("bf16, channels first", _BF16 | {"training.channels_last": False}),
    Option("bf16, cuDNN tries algorithms", _BF16, autotune=True),
    Option("bf16, compiled", _BF16 | {"training.compile": True}),
)
_PARTICIPANTS, _EPOCHS = 18_759, 150
_GIB = 2**30


class Report:
    """Collects lines, for the screen and for the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str = "") -> None:
        """Print a line and keep it."""
        print(line, flush=True)
        self.lines.append(line)


def main() -> int:
    """Measure and report; 0 also where there is no GPU, 1 where a check differs."""
    arguments = _parser().parse_args()
    if not torch.cuda.is_available() and not arguments.cpu_rehearsal:
        print("No GPU on this machine: nothing to measure (--cpu-rehearsal runs the code on a CPU)")
        if arguments.json:
            print(json.dumps({"device": None}))
        return 0
    stage = _stage(arguments)
    report, deadline = Report(), time.monotonic() + 60 * (4 if arguments.quick else 8)
    record: dict[str, object] = {"device": _device_facts(stage.device), "grid": stage.grid}
    report.say(", ".join(f"{name} {value}" for name, value in _device_facts(stage.device).items()))
    if stage.device.type == "cuda" and 90800 <= (torch.backends.cudnn.version() or 0) < 91500:
        report.say("cuDNN 9.8 to 9.14: 3D convolutions in bf16 are slow or wrong with some PyTorch")
        report.say(
            "  versions (pytorch issues 163539, 166122, 166643); install cuDNN 9.15 or newer"
        )
    checks = _report_checks(report, stage)
    record["checks"] = [asdict(each) | {"verdict": each.verdict} for each in checks]
    record["steps"] = steps = _report_steps(report, stage, deadline, arguments.quick)
    record["largest"] = _report_largest(report, stage, steps, deadline, arguments.quick)
    record["split"] = split = _report_split(report, stage)
    record["mae"] = _report_mae(report, stage, split["read and copy"])
    record["hours"] = _report_hours(report, record)
    _keep(report, arguments, stage)
    if arguments.json:
        print(json.dumps(_plain(record), allow_nan=False))
    return int(any(each.verdict == "DIFFERS" for each in checks))


def _report_checks(report: Report, stage: Stage) -> list[Check]:
    report.say("\nDoes it compute the same?")
    checks = []
    for check in all_checks(stage):
        report.say(f"  {check.name:74s} {check.difference:9.2g}  {check.verdict}")
        checks.append(check)
    return checks


def _report_steps(
    report: Report, stage: Stage, deadline: float, quick: bool
) -> dict[str, dict[str, object]]:
    """Time and memory of every option, from two small batches each."""
    report.say(f"\nOne step at {'x'.join(map(str, stage.grid))}, views included, reading left out")
    heads = ("participants", "s/participant", "TFLOP/s", "peak GiB", "planned GiB")
    report.say(f"  {'':32s}" + "".join(f"{head:>17s}" for head in heads))
    found: dict[str, dict[str, object]] = {}
    small = 2 if memory_of(stage.device) > 40 * _GIB else 1
    for option in PLAIN + SAVING + (() if quick else FURTHER):
        found[option.name] = measure_option(stage, option, small, deadline)
        report.say(_row_text(option, found[option.name], heads))
    return found


def _report_mae(report: Report, stage: Stage, seconds_to_read: float) -> dict[str, object]:
    masked, patches = mask_counts(mae_stage(stage))
    report.say(
        f"\nOne step of a masked autoencoder, ViT-Tiny, {masked} of {patches} patches masked"
    )
    heads = ("participants", "s/participant", "s waiting", "peak GiB", "planned GiB")
    report.say(f"  {'':32s}" + "".join(f"{head:>17s}" for head in heads))
    steps: dict[str, object] = {}
    deadline = time.monotonic() + 60  # a minute of its own
    for option in (*PLAIN, SAVING[0]):
        steps[option.name] = row = measure_mae(stage, option, deadline, seconds_to_read)
        report.say(_row_text(option, row, heads))
    return {"masked share": masked / patches, "steps": steps}


def _row_text(option: Option, row: dict[str, object], heads: tuple[str, ...]) -> str:
    texts = [row[head] for head in heads] if "remark" not in row else [row["remark"]]
    return f"  {option.name:32s}" + "".join(f"{_text(each):>17s}" for each in texts)


def _report_largest(
    report: Report, stage: Stage, steps: dict[str, dict[str, object]], deadline: float, quick: bool
) -> dict[str, object]:
    report.say("\nLargest batch of one step that fits (the paper's is 72)")
    found: dict[str, object] = {}
    for option in (SAVING[2], *PLAIN[1:]) if quick else (SAVING[2], *PLAIN, *SAVING[:2]):
        if option.missing_knobs() or "remark" in steps[option.name]:
            report.say(f"  {option.name:32s} not measured")
            continue
        release_memory(stage.device)
        best, remark = largest_batch(stage, option, _guess(stage, steps[option.name]), deadline)
        found[option.name] = {"step": asdict(best) if best else None, "remark": remark}
        report.say(f"  {option.name:32s} {_largest_text(best)}  {remark}")
    return found


def _guess(stage: Stage, row: dict[str, object]) -> int:
    slope, peak, participants = row["GiB/participant"], row["peak GiB"], row["participants"]
    if not isinstance(slope, float) or slope <= 0:
        return 2
    assert isinstance(peak, float)
    assert isinstance(participants, int)
    room = 0.95 * memory_of(stage.device) / _GIB - peak
    return max(1, participants + int(room / slope))


def _largest_text(best: Step | None) -> str:
    if best is None:
        return "not one participant"
    seconds = best.seconds / best.participants
    return (
        f"{best.participants} participants, {best.peak_bytes / _GIB:.1f} GiB, {seconds:.3f} s each"
    )


def _report_split(report: Report, stage: Stage) -> dict[str, float]:
    """Where a participant's time goes, in bf16 on a GPU."""
    option = PLAIN[stage.device.type == "cuda"]
    release_memory(stage.device)
    split = {"read and copy": _seconds_to_read(stage)}
    split |= {name: each / 2 for name, each in time_split(stage, option, 2).items()}
    report.say(
        f"\nTime of a participant's parts, {option.name}, ms (reading goes on beside the rest)"
    )
    report.say("  " + "   ".join(f"{name} {1000 * each:.1f}" for name, each in split.items()))
    return split


def _seconds_to_read(stage: Stage, scans: int = 8) -> float:
    """From a store on disk to decoded volumes on the device, one scan."""
    spacing = round(stage.spacing_mm)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_derivatives(folder / "derivatives", scans, spacing)
        pack(folder / "derivatives", folder / "store", StoreConfig(spacing_mm=spacing))
        loader = ScanLoader(open_store(folder / "store"), pinned=stage.device.type == "cuda")
        plan = [[row] for row in range(scans)] * 4
        began = now(stage.device)
        for batch in loader.stored_batches(plan):
            batch.decoded_on(stage.device)
        return (now(stage.device) - began) / len(plan)


def _report_hours(report: Report, record: dict[str, object]) -> dict[str, float]:
    """Hours of the paper's pre-training with every option that was measured, on this one device."""
    steps, split = record["steps"], record["split"]
    assert isinstance(steps, dict)
    assert isinstance(split, dict)
    report.say(f"\nHours of {_EPOCHS} epochs of {_PARTICIPANTS:,} participants on this device")
    hours = {
        name: max(row["s/participant"], split["read and copy"]) * _PARTICIPANTS * _EPOCHS / 3600
        for name, row in steps.items()
        if "remark" not in row
    }
    for name, each in hours.items():
        report.say(f"  {name:32s} {each:10.1f}")
    return hours


def _stage(arguments: argparse.Namespace) -> Stage:
    if arguments.cpu_rehearsal:
        tiny = {"encoder": {"widths": [4, 8, 8, 16], "stem_stride": 1}}
        return Stage(torch.device("cpu"), (25, 32, 32), tiny, most_participants=5, repeats=1)
    device = torch.device(arguments.device)
    return Stage(device, (150, 192, 192), {}, most_participants=512, repeats=3)


def _device_facts(device: torch.device) -> dict[str, str]:
    facts = {"device": device.type, "torch": str(torch.__version__)}
    if device.type == "cuda":
        facts |= {
            "device": torch.cuda.get_device_name(device),
            "memory": f"{memory_of(device) / _GIB:.1f} GiB",
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
        }
    return facts | {"date": f"{datetime.now(UTC):%Y-%m-%d}"}


def _keep(report: Report, arguments: argparse.Namespace, stage: Stage) -> None:
    name = "cpu-rehearsal"
    if stage.device.type == "cuda":
        name = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(stage.device).lower())
    elif arguments.results is None:
        return
    folder = arguments.results or Path(__file__).parent / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"gpu-{name}.txt").write_text("\n".join([*report.lines, ""]))


def _plain(value: object) -> object:
    """The same with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not torch.tensor(value).isfinite() else value


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure a GPU with the paper's model.")
    parser.add_argument("--quick", action="store_true", help="fewer options, about 5 minutes")
    parser.add_argument("--json", action="store_true", help="all results as the last line")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:1")
    parser.add_argument("--cpu-rehearsal", action="store_true", help="a tiny grid on the CPU")
    parser.add_argument("--results", type=Path, help="folder of the text file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
