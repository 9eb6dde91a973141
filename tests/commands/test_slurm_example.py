"""The SLURM example, with stand-ins for its programs: who is started how, when it is requeued."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_EXAMPLE = Path(__file__).parents[2] / "examples" / "pretrain.sbatch"
_PROGRAMS = {
    "scontrol": """
if [ "$1" = show ]; then printf 'node-7\\nnode-8\\n'; else echo "$@" >> requeued; fi
""",
    "srun": """
worst=0
for task in 0 1 2 3; do
  SLURM_PROCID=$task SLURM_LOCALID=$((task % 2)) "$@" || { s=$?; [ $s -gt $worst ] && worst=$s; }
done
exit $worst
""",
    "neurofm": """
echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT $*" >> started
exit $STATUS
""",
}


@pytest.mark.parametrize(("status", "requeued"), [(0, False), (2, False), (75, True), (130, False)])
def test_the_job_is_queued_again_after_status_75_only(
    tmp_path: Path, status: int, requeued: bool
) -> None:
    """Case P3."""
    for name, text in _PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/bash{text}")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node-[7-8]", "SLURM_JOB_ID": "1234", "SLURM_NTASKS": "4"}
    done = subprocess.run(
        ["bash", str(_EXAMPLE), "simclr-paper", "--store", "a b", "-o", "run"],
        cwd=tmp_path,
        env=os.environ
        | slurm
        | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STATUS": str(status)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, "")
    assert (tmp_path / "started").read_text().splitlines() == [
        f"{rank} {rank % 2} 4 node-7 21234 pretrain simclr-paper --store a b -o run"
        for rank in range(4)
    ]
    assert (tmp_path / "requeued").is_file() == requeued
