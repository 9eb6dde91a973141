"""Run every benchmark here and keep what each printed in benchmarks/results/."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run all benchmarks; the worst exit status of them."""
    worst = 0
    for script in [*sorted(HERE.glob("bench_*.py")), HERE / "data_path.py"]:
        print(f"== {script.name}", flush=True)
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=False
        )
        head = f"{date.today()} {platform.system()} {platform.machine()} python {script.name}\n"
        (HERE / "results" / f"{script.stem}.txt").write_text(head + done.stdout)
        print(done.stdout or done.stderr)
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
