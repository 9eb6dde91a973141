"""Run every benchmark that takes minutes and keep what each printed in benchmarks/results/.

Not run: gpu.py, which needs a GPU, and compare_policies.py, which takes hours.
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
    """Run all benchmarks; the worst exit status of them."""
    worst = 0
    scripts = [_with_json(path) for path in sorted(HERE.glob("bench_*.py"))]
    for script, *words in [*scripts, *_OTHERS]:
        command = " ".join([script, *words])
        print(f"== {command}", flush=True)
        done = subprocess.run(
            [sys.executable, str(HERE / script), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        head = f"{date.today()} {platform.system()} {platform.machine()} python {command}\n"
        name = "-".join([Path(script).stem, *(word[2:] for word in words if word != "--json")])
        (HERE / "results" / f"{name}.txt").write_text(head + done.stdout)
        print(done.stdout or done.stderr)
        worst = max(worst, done.returncode)
    return worst


def _with_json(path: Path) -> tuple[str, ...]:
    """A script, and the flag that puts its figures on the last line where it has one."""
    return (path.name, "--json") if '"--json"' in path.read_text() else (path.name,)


if __name__ == "__main__":
    sys.exit(main())
