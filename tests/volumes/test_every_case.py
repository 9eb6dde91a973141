"""Every row of docs/bad-input.md has a test that carries its number."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Of disks and processes, those that concern training have their tests there and no row here.
NUMBERED = {str(number) for number in range(1, 75)}
LETTERED = {"F1", "F3", "F5", "F6", "F7", "P1", "P5", "P16"}


def promised() -> set[str]:
    """The numbers in the first column of the page's tables."""
    page = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([FP]?\d[\d, ]*) \|", page, re.MULTILINE)
    return {number for cell in cells for number in cell.split(", ")}


def numbers_of_tests() -> set[str]:
    """The numbers in docstrings ("Cases 8, 9", "F1: ...") and at the start of a parameter's id."""
    numbers: set[str] = set()
    folders = ("volumes", "cohorts", "preprocess")
    paths = [path for name in folders for path in ROOT.glob(f"tests/{name}/test_*.py")]
    for path in [*paths, ROOT / "tests" / "test_files.py"]:
        text = path.read_text(encoding="utf-8")
        for listed in re.findall(r'"""Cases? ((?:\d+(?:, )?)+)', text):
            numbers |= set(re.findall(r"\d+", listed))
        numbers |= set(re.findall(r'"""([FP]\d+)\b', text))
        numbers |= set(re.findall(r'id="(\d+)\b', text))
        for listed in re.findall(r"ids=\[(.*?)\]", text, re.DOTALL):
            numbers |= set(re.findall(r'"(\d+) ', listed))
    return numbers


def test_the_page_leaves_no_case_out() -> None:
    assert promised() >= NUMBERED | LETTERED


def test_each_case_of_the_page_has_a_test() -> None:
    assert promised() - numbers_of_tests() == set()
