"""The limits the house keeps: size of files and functions, one command a file, no stray words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_COMMAND_LINES = 60

# path -> why it may be longer
LONGER_FILES: dict[str, str] = {
    "src/neurofm/commands/console.py": "no command: what the commands share",
    "src/neurofm/commands/app.py": "no command: the table of commands",
}
FORBIDDEN_NAMES = {"utils", "common", "helpers", "misc"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_and_its_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    limit = MAX_COMMAND_LINES if path.parent.name == "commands" else MAX_FILE_LINES
    if relative(path) not in LONGER_FILES:
        assert len(text.splitlines()) <= limit
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


def test_every_file_says_what_it_is_for_and_none_is_a_drawer() -> None:
    for path in SOURCES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), relative(path)
        assert path.stem not in FORBIDDEN_NAMES, relative(path)


def test_exceptions_to_the_limits_still_exist() -> None:
    assert all((ROOT / name).is_file() for name in LONGER_FILES)


def test_tests_stand_where_their_source_stands() -> None:
    packages = {path.name for path in (ROOT / "src" / "neurofm").iterdir() if path.is_dir()}
    extra = {"end_to_end", "multi_process", "__pycache__"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders <= packages | extra
