"""The faults of a run that docs/faults.md lists: none is left out, each has a test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CASES = {
    *(str(number) for number in range(75, 105)),
    *(f"F{number}" for number in range(1, 9)),
    *(f"P{number}" for number in range(2, 16)),  # 1 and 16 are of preprocessing
}
_FOLDERS = (
    "augment", "cohorts", "config", "data", "evaluation", "models", "multi_process", "store",
    "training",
)  # fmt: skip


def _cases_of_page() -> set[str]:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([FP\d, ]+) \|", page, re.MULTILINE)
    return {number for cell in cells for number in cell.split(", ")}


def _cases_of_tests() -> set[str]:
    """The numbers at the start of docstrings: "Case P2", "Cases 93, 94 and 95."."""
    paths = [path for name in _FOLDERS for path in ROOT.glob(f"tests/{name}/test_*.py")]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    listed = [each for text in texts for each in re.findall(r'"""Cases? ([FP\d, and]+)', text)]
    return {number for each in listed for number in re.findall(r"[FP]?\d+", each)}


def test_the_page_leaves_no_fault_out() -> None:
    assert _cases_of_page() == _CASES


def test_each_fault_of_the_page_has_a_test() -> None:
    assert _CASES - _cases_of_tests() == set()
