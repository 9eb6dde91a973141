"""Run every benchmark that takes minutes and keep what each printed in benchmarks/results/.

A benchmark that fails leaves the result it had. Not run: gpu.py, which needs a GPU, and
compare_policies.py, which takes hours.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
_OTHERS = (
    ("bench_quality_gate.py", "--phantoms"), ("compare_tissue.py",),
    ("data_path.py", "--json"), ("memory.py", "--json"), ("memory.py", "--full-size", "--json"),
)  # fmt: skip


def main() -> int:
    """Run all benchmarks; 1 where one failed."""
    scripts = [_with_json(path) for path in sorted(HERE.glob("bench_*.py"))]
    failed = [
        " ".join([script, *words])
        for script, *words in [*scripts, *_OTHERS]
        if not keep_result(HERE / script, words, HERE / "results")
    ]
    for command in failed:
        print(f"failed: {command}")
    return 1 if failed else 0


def keep_result(script: Path, words: list[str], results: Path) -> bool:
    """Run one benchmark and write what it printed, unless it fails; whether it did not.

    Args:
        script: the benchmark.
        words: that it is given.
        results: a folder; receives SCRIPT-WORDS.txt, without --json.
    """
    command = " ".join([script.name, *words])
    print(f"== {command}", flush=True)
    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, check=False
    )
    print(done.stdout)
    if done.returncode:
        print(f"{done.stderr}{command}: status {done.returncode}, its result was not kept")
        return False
    head = f"{date.today()} {platform.system()} {platform.machine()} python {command}\n"
    name = "-".join([script.stem, *(word[2:] for word in words if word != "--json")])
    (results / f"{name}.txt").write_text(head + done.stdout)
    return True


def _with_json(path: Path) -> tuple[str, ...]:
    """A script, and the flag that puts its figures on the last line where it has one."""
    return (path.name, "--json") if '"--json"' in path.read_text() else (path.name,)


if __name__ == "__main__":
    sys.exit(main())
