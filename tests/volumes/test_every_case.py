"""Every row of docs/bad-input.md has a test that carries its number."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def promised() -> set[int]:
    """The numbers in the first column of the page's tables."""
    page = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE)
    return {int(number) for cell in cells for number in cell.split(",")}


def numbers_of_tests() -> set[int]:
    """The numbers in docstrings ("Cases 8, 9") and at the start of a parameter's id ("8 ...")."""
    numbers: set[int] = set()
    folders = ("volumes", "cohorts", "preprocess")
    for path in [p for name in folders for p in ROOT.glob(f"tests/{name}/test_*.py")]:
        text = path.read_text(encoding="utf-8")
        for listed in re.findall(r'"""Cases? ((?:\d+(?:, )?)+)', text):
            numbers |= {int(number) for number in re.findall(r"\d+", listed)}
        numbers |= {int(number) for number in re.findall(r'id="(\d+)\b', text)}
        for listed in re.findall(r"ids=\[(.*?)\]", text, re.DOTALL):
            numbers |= {int(number) for number in re.findall(r'"(\d+) ', listed)}
    return numbers


def test_each_case_of_the_page_has_a_test() -> None:
    assert len(promised()) > 60
    assert promised() - numbers_of_tests() == set()
