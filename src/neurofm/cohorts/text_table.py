"""Tables as people keep them: comma, semicolon or tab, with or without BOM, all cells as text."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from neurofm.errors import TableError

Row = dict[str, str]


def read_table(path: Path) -> list[Row]:
    """The rows of a CSV or TSV file with a header line; every cell stays text ('001' too).

    Raises:
        TableError: missing, empty, not text, without rows, or with uneven rows.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise TableError("no such table", "check the path", path) from None
    except OSError as error:
        raise TableError(f"cannot be read ({error.strerror})", "", path) from None
    except UnicodeDecodeError:
        raise TableError("is not UTF-8 text", "save it as UTF-8", path) from None
    if not text.strip():
        raise TableError("is empty", "", path)
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    header, *cells = [line for line in lines if any(cell.strip() for cell in line)]
    header = [name.strip() for name in header]
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise TableError(f"has the column '{repeated.pop()}' twice", "", path)
    if not cells:
        raise TableError("has a header but no rows", "", path)
    for number, line in enumerate(cells, start=2):
        if len(line) != len(header):
            raise TableError(
                f"line {number} has {len(line)} cells, the header {len(header)}", "", path
            )
    return [dict(zip(header, line, strict=True)) for line in cells]


def _delimiter(text: str) -> str:
    first = text.splitlines()[0]
    return max(("\t", ";", ","), key=first.count)
