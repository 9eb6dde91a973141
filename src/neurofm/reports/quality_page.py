"""The page of quality control: every scan of a batch, with picture, numbers and verdict."""

from __future__ import annotations

import base64
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from neurofm.errors import RunError
from neurofm.files import write_text
from neurofm.preprocess.picture import thumbnail
from neurofm.reports.quality_numbers import Number, Standing
from neurofm.reports.quality_strips import draw_strips, is_constant
from neurofm.reports.quality_table import VERDICTS, CheckedScan, QualityTable, read_quality
from neurofm.reports.quality_words import grid_in_words, steps_in_words
from neurofm.reports.templates import page_template

# Full pictures of this many scans are held by the page itself: some 10 MB.
_MAX_EMBEDDED = 60

# Where a page finds a full picture, by its place in the derivatives and its bytes.
AddressOf = Callable[[str, bytes], str]


@dataclass(frozen=True)
class Cell:
    """One number of one scan: its value for reading, and the limits it breaks."""

    number: Number
    text: str
    standing: Standing


@dataclass(frozen=True)
class Row:
    """One scan on the page.

    Attributes:
        place: its number, from 1; the same on a page with ids and on one without.
        cells: its numbers.
        thumbnail: a data address; empty where there is no picture.
        picture: a data address or a relative link; empty where the page has none to offer.
    """

    place: int
    scan: CheckedScan
    cells: tuple[Cell, ...]
    thumbnail: str
    picture: str


@dataclass(frozen=True)
class Middle:
    """A number over one cohort: its median and its ends, for reading."""

    number: Number
    median: str
    ends: str


@dataclass(frozen=True)
class CohortSummary:
    """One cohort: scans by verdict, and its numbers."""

    name: str
    counts: dict[str, int]
    middles: tuple[Middle, ...]


def write_quality_page(derivatives: Path, page: Path | None = None, ids: bool = True) -> Path:
    """Write one self-contained HTML page of all scans of a batch, failed ones first.

    Args:
        derivatives: a folder of `neurofm preprocess`.
        page: the HTML file; `quality.html` in the folder where not given, or
            `quality-without-ids.html`.
        ids: call scans by their ids, and link their pictures where they are too many to be held
            by the page. Without, scans are numbered, and no id, path, file name or free text is
            on the page: for sharing. Names of cohorts stay.

    Returns:
        The page.

    Raises:
        ContractError: the folder holds no preprocessing.json.
        RunError: it holds no index.parquet, or `page` is a folder.
        TableError: index.parquet is damaged.
    """
    page = page or derivatives / ("quality.html" if ids else "quality-without-ids.html")
    if page.is_dir():
        raise RunError("is a folder", "give -o the name of a page, such as quality.html", page)
    table = read_quality(derivatives)
    embedded = len(table.scans) <= _MAX_EMBEDDED
    address: AddressOf = _nowhere
    if embedded:
        address = _held_by_the_page
    elif ids:
        address = _linked(derivatives, page)
    shown = [number for number in table.numbers if not is_constant(number, table)]
    rows = [
        _row(place, scan, shown, derivatives, address)
        for place, scan in enumerate(table.scans, start=1)
    ]
    write_text(page, _render(table, shown, rows, ids, embedded))
    return page


def _render(
    table: QualityTable, shown: list[Number], rows: list[Row], ids: bool, embedded: bool
) -> str:
    return page_template("quality_page.html.j2").render(
        rows=rows,
        numbers=shown,
        constants=_constants(table),
        strips=draw_strips(table),
        counts=table.counts(),
        cohorts=[_summary(cohort, table, shown) for cohort in table.cohorts],
        steps=steps_in_words(table.contract),
        grid=grid_in_words(table.contract),
        contract=table.contract,
        software=table.software,
        verdicts=VERDICTS,
        ids=ids,
        embedded=embedded,
    )


def _row(
    place: int, scan: CheckedScan, shown: list[Number], derivatives: Path, address: AddressOf
) -> Row:
    cells = []
    for number in shown:
        value = scan.numbers.get(number.name)
        standing: Standing = "" if value is None else number.standing(value)
        cells.append(Cell(number, number.text(value), standing))
    png = _read(derivatives / scan.picture) if scan.picture else b""
    small = thumbnail(png)
    if small is None:
        return Row(place, scan, tuple(cells), "", "")
    picture = address(scan.picture, png)
    return Row(place, scan, tuple(cells), _data_address("image/jpeg", small), picture)


def _summary(cohort: str, table: QualityTable, shown: list[Number]) -> CohortSummary:
    middles = []
    for number in shown:
        values = [
            scan.numbers[number.name]
            for scan in table.scans
            if scan.cohort == cohort and number.name in scan.numbers
        ]
        if values:
            ends = f"{number.text(min(values))} to {number.text(max(values))}"
            middles.append(Middle(number, number.text(statistics.median(values)), ends))
        else:
            middles.append(Middle(number, "", ""))
    return CohortSummary(cohort, table.counts(cohort), tuple(middles))


def _constants(table: QualityTable) -> list[str]:
    """Numbers that are the same for all scans, as "Scaling 1.00"."""
    found = []
    for number in table.numbers:
        if is_constant(number, table):
            values = (scan.numbers.get(number.name) for scan in table.scans)
            value = next(value for value in values if value is not None)
            found.append(f"{number.heading} {number.text(value)}")
    return found


def _held_by_the_page(picture: str, png: bytes) -> str:
    return _data_address("image/png", png)


def _linked(derivatives: Path, page: Path) -> AddressOf:
    folder = os.path.relpath(derivatives.resolve(), page.parent.resolve())
    return lambda picture, png: quote((Path(folder) / picture).as_posix())


def _nowhere(picture: str, png: bytes) -> str:
    return ""


def _data_address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
