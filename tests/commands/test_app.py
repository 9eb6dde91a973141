"""The command line: quick, light, one line for a mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def neurofm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "neurofm", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )


def test_help_lists_commands_without_importing_heavy_libraries() -> None:
    code = (
        "import sys; sys.argv = ['neurofm', '--help']\n"
        "from neurofm.commands.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'monai', 'pandas', 'scipy', 'ants', 'sklearn', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "preprocess" in done.stdout


def test_a_users_mistake_is_one_line_and_status_2() -> None:
    done = neurofm("recipe", "show", "simclr-papr")
    assert done.returncode == 2
    assert done.stderr == "ConfigError: simclr-papr: no such recipe; did you mean 'simclr-paper'?\n"


def test_debug_shows_the_traceback() -> None:
    done = neurofm("recipe", "show", "nowhere", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_debug_in_the_environment_shows_the_traceback_too() -> None:
    shown = neurofm("recipe", "show", "nowhere", NEUROFM_DEBUG="1")
    hidden = neurofm("recipe", "show", "nowhere", NEUROFM_DEBUG="0")
    assert "Traceback" in shown.stderr
    assert "Traceback" not in hidden.stderr


def test_the_shown_recipe_is_a_recipe(tmp_path: Path) -> None:
    shown = neurofm("recipe", "show", "simclr-paper", "training.epochs=2")
    assert shown.returncode == 0
    path = tmp_path / "copy.yaml"
    path.write_text(shown.stdout)
    again = neurofm("recipe", "show", str(path))
    assert "epochs: 2" in again.stdout
    assert again.stdout.splitlines()[0] == shown.stdout.splitlines()[0]
