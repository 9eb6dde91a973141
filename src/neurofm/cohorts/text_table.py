"""CSV and TSV as people save them, read as text: no value is turned into anything else."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofm.errors import TableError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_MISSING = {"", "n/a", "na", "nan", "null", "."}
_SEPARATORS = "\t;,"


@dataclass(frozen=True)
class TextTable:
    """A table of text cells.

    Attributes:
        path: the file it came from.
        columns: names as written, stripped.
        rows: cells, None where missing; every row is as long as `columns`.
        lines: the line of each row in the file, from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str | None, ...]:
        """The cells of one column."""
        place = self.columns.index(name)
        return tuple(row[place] for row in self.rows)

    def find(self, names: Sequence[str]) -> str | None:
        """The column called by the earliest of `names`, whatever its case and remarks."""
        plain = {plain_name(column): column for column in reversed(self.columns)}
        return next((plain[name] for name in names if name in plain), None)

    def require(self, names: Sequence[str]) -> str:
        """As `find`, but a missing column is a `TableError` that names the nearest one."""
        column = self.find(names)
        if column is None:
            near = nearest(names[0], self.columns)
            mend = f"did you mean '{near}'? rename it" if near else f"it has: {self._listed()}"
            raise TableError(f"has no column '{names[0]}'", mend, self.path)
        return column

    def require_filled(self, column: str) -> tuple[str, ...]:
        """The cells of a column that may not be empty."""
        cells = self.column(column)
        empty = [str(line) for line, cell in zip(self.lines, cells, strict=True) if cell is None]
        if empty:
            raise TableError(f"'{column}' is empty in line {', '.join(empty[:5])}", "", self.path)
        return tuple(cell for cell in cells if cell is not None)

    def _listed(self) -> str:
        return ", ".join(self.columns)


def read_text_table(path: Path) -> TextTable:
    """Read a table with a header line, separated by comma, semicolon or tab.

    A byte-order mark, CRLF, quoted cells, blank lines and nameless empty columns are understood.
    Ids such as `001` stay text. Empty cells, `n/a` and `nan` are missing.

    Raises:
        TableError: no such file, no row, a row of another length, or a column given twice.
    """
    text = _decoded(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=_outside_quotes(first).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        numbered = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise TableError(f"line {reader.line_num}: {error}", "", path) from None
    if len(numbered) < 2:
        raise TableError("holds no rows" if numbered else "is empty", "", path)
    columns = [name.strip() for name in numbered[0][1]]
    numbered = numbered[1:]
    while columns and not columns[-1] and all(_is_short(row, columns) for _, row in numbered):
        columns.pop()
    _require_names(columns, path)
    rows = tuple(_cells(row, len(columns), line, path) for line, row in numbered)
    return TextTable(path, tuple(columns), rows, tuple(line for line, _ in numbered))


def plain_name(column: str) -> str:
    """A column's name for comparison: "Age (years)" and "AGE" are both "age"."""
    return re.sub(r"[\s\-.]+", "_", re.sub(r"[(\[].*", "", column).strip().casefold())


def nearest(name: str, columns: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The column most like `name`, or None."""
    plain = {plain_name(column): column for column in columns}
    near = difflib.get_close_matches(name, plain, n=1, cutoff=cutoff)
    return plain[near[0]] if near else None


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(f"cannot be read ({error.strerror})", "check the path", path) from None
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise TableError("is not UTF-8 text", "save it as CSV in UTF-8", path) from None
    if "\0" in text:
        raise TableError("is not text", "save it as CSV in UTF-8", path)
    return text


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _is_short(row: list[str], columns: list[str]) -> bool:
    return not any(cell.strip() for cell in row[len(columns) - 1 :])


def _require_names(columns: list[str], path: Path) -> None:
    if not all(columns):
        raise TableError(f"column {columns.index('') + 1} has no name", "name it", path)
    repeated = [name for name in columns if columns.count(name) > 1]
    if repeated:
        raise TableError(f"the column '{repeated[0]}' stands twice", "rename one", path)


def _cells(row: list[str], count: int, line: int, path: Path) -> tuple[str | None, ...]:
    if any(cell.strip() for cell in row[count:]) or len(row) < count:
        raise TableError(
            f"line {line} has {len(row)} values, the header has {count}",
            "quote cells that hold the separator", path,
        )  # fmt: skip
    stripped = [cell.strip() for cell in row[:count]]
    return tuple(None if cell.casefold() in _MISSING else cell for cell in stripped)
