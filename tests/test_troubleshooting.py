"""The page of symptoms quotes what neurofm says: every quoted message stands in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"


def quoted_messages() -> list[str]:
    """What stands in double quotes in the first column of the page's tables."""
    rows = [
        line.split("|")[1]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return [message for row in rows for message in re.findall(r'"([^"]+)"', row)]


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Every text in the code but docstrings; a value put into it is "{}"."""
    texts = []
    for file in sorted((ROOT / "src").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        bare = {node.value for node in nodes if isinstance(node, ast.Expr)}
        texts += [_text_of(node) for node in nodes if node not in bare]
    return [text for text in texts if text]


@pytest.mark.parametrize("message", quoted_messages())
def test_a_quoted_message_is_one_that_the_code_says(message: str, said: list[str]) -> None:
    wanted = re.compile(r"\{\}".join(map(re.escape, message.split("..."))))
    assert any(wanted.search(text) for text in said)


def test_there_are_messages_to_look_for() -> None:
    assert len(quoted_messages()) > 15


def _text_of(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text_of(value) or "{}" for value in node.values)
    return ""
