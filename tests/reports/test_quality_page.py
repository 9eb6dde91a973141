from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from neurofm.cohorts.failures import Failure
from neurofm.errors import RunError
from neurofm.files import write_bytes
from neurofm.reports import quality_page
from neurofm.reports.quality_page import write_quality_page

SCRIPT = Path(quality_page.__file__).with_name("quality_page.js")
EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img", "input", "br", "hr"}


class Balanced(HTMLParser):
    """Collects addresses and notes whether tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "data-picture") and value:
                self.addresses.append(value)
            if name == "id" and value:
                self.ids.append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_is_whole_and_loads_nothing(derivatives: Path) -> None:
    page = write_quality_page(derivatives)
    assert page == derivatives / "quality.html"
    found = parsed(page.read_text())
    assert len(found.ids) == len(set(found.ids))
    inside = {f"#{name}" for name in found.ids}
    assert all(address in inside or address.startswith("data:") for address in found.addresses)
    assert "5 scans of 2 cohorts" in page.read_text()


def test_equal_derivatives_give_an_equal_page(derivatives: Path) -> None:
    first = write_quality_page(derivatives).read_bytes()
    assert write_quality_page(derivatives).read_bytes() == first


def test_a_number_outside_its_limits_is_marked_for_eye_and_ear(derivatives: Path) -> None:
    page = write_quality_page(derivatives).read_text()
    marked = re.findall(r'<span class="outside (\w+)">([^<]+)<span', page)
    assert sorted(marked) == [("fail", "0.50"), ("look", "850")]
    assert page.count("outside the limits</span>") == 2


def test_a_scan_without_a_result_is_listed_with_step_kind_and_reason(derivatives: Path) -> None:
    page = write_quality_page(derivatives).read_text()
    assert "read, truncated: emil.nii.gz ends" in page
    # What failed its quality check has a result, so it stands once.
    assert page.count("east_carl") == 1


def test_a_page_to_share_names_no_scan_and_no_file(derivatives: Path, tmp_path: Path) -> None:
    page = write_quality_page(derivatives, tmp_path / "shared.html", ids=False).read_text()
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    for word in (
        "anna",
        "bert",
        "carl",
        "dora",
        "emil",
        "secret",
        ".nii",
        ".png",
        "a note",
        "/data",
    ):
        assert word not in text, word
    assert str(tmp_path) not in text
    assert "read, truncated" in text
    assert "Scan 5" in text
    pictures = re.findall(r'data-picture="data:image/png;base64,([^"]*)"', page)
    assert len(pictures) == 4
    assert all(b"anna" not in base64.b64decode(picture) for picture in pictures)


def test_a_page_to_share_numbers_scans_as_the_page_with_ids_does(derivatives: Path) -> None:
    own = write_quality_page(derivatives).read_text()
    place = re.search(r'id="scan-(\d)".*?east_bert', own, re.DOTALL)
    assert place is not None
    assert own[: place.end()].count('<tr id="scan-') == 3
    shared = write_quality_page(derivatives, ids=False).read_text()
    assert re.search(r'id="scan-3".*?Scan 3.*?>850<', shared, re.DOTALL)


def test_whatever_a_scan_is_called_it_is_only_text(
    write_derivatives: Callable[..., Path], tmp_path: Path
) -> None:
    numbers = {f"{EVIL}_mm": 1.0, "brain_ml": 1300.0}
    scans = [(f"p{EVIL}", EVIL.replace("/", "."), "look", numbers), ("q", "c", "pass", {})]
    failures = [Failure("/x", f"c/{EVIL}", "read", EVIL, f"{EVIL} & 'more' \"words\"")]
    folder = write_derivatives(tmp_path / "evil", scans, failures)
    for ids in (True, False):
        page = write_quality_page(folder, ids=ids).read_text()
        parsed(page)
        assert page.count("<script>") == 1
        assert "alert(1)" in page


def test_a_missing_or_damaged_picture_leaves_the_rest_of_the_page(derivatives: Path) -> None:
    next(derivatives.rglob("sub-anna*.png")).unlink()
    write_bytes(next(derivatives.rglob("sub-bert*.png")), b"\x89PNG and no more")
    page = write_quality_page(derivatives).read_text()
    assert page.count("no picture") == 3
    assert page.count("data-picture=") == 2
    assert "east_anna" in page


def test_a_folder_is_no_page(derivatives: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is a folder"):
        write_quality_page(derivatives, tmp_path)


def test_a_batch_without_any_result_has_a_page(
    write_derivatives: Callable[..., Path], tmp_path: Path
) -> None:
    failures = [Failure("/data/a.nii.gz", "c/a", "read", "missing", "is not there")]
    page = write_quality_page(write_derivatives(tmp_path / "none", [], failures)).read_text()
    parsed(page)
    assert "1 scan of 1 cohort: 0 pass, 0 look, 0 fail, 1 no result." in page


def test_pictures_of_many_scans_are_linked_and_of_a_page_to_share_left_out(
    write_derivatives: Callable[..., Path], tmp_path: Path
) -> None:
    scans = [(f"p{i:02d} x", "c", "pass", {"brain_ml": 1300.0 + i}) for i in range(61)]
    folder = write_derivatives(tmp_path / "many scans", scans, [])
    page = write_quality_page(folder, tmp_path / "pages" / "quality.html")
    links = [a for a in parsed(page.read_text()).addresses if a[0] not in "#d"]
    # Each stands as link and as address of the enlarged picture.
    assert len(links) == 2 * 61
    assert all((page.parent / unquote(link)).is_file() for link in links)
    shared = write_quality_page(folder, tmp_path / "shared.html", ids=False).read_text()
    assert "data-picture=" not in shared
    assert shared.count("data:image/jpeg") == 61


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the page's script")
def test_the_script_sorts_and_filters() -> None:
    code = SCRIPT.read_text() + (
        "const sorted = (texts, way) =>"
        "  texts.map(sortValue).sort((a, b) => compareValues(a, b, way));"
        "const scan = {verdict: 'fail', text: 'east_carl correlation 0.50'};"
        "console.log(JSON.stringify(["
        "sorted(['1,200', '', '9', '\u22123', 'b', 'A'], 1),"
        "sorted(['1,200', '', '9', '\u22123'], -1),"
        "sorted(['sub-10', 'sub-9'], 1),"
        "['all', 'fail', 'pass'].map((verdict) => isWanted(scan, verdict, '')),"
        "['CARL', 'carl corr', 'carl dora', '  '].map((words) => isWanted(scan, 'all', words)),"
        "]));"
    )
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        [-3, 9, 1200, "a", "b", None],
        [1200, 9, -3, None],
        ["sub-9", "sub-10"],
        [True, True, False],
        [True, True, False, True],
    ]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
def test_a_browser_filters_sorts_searches_and_enlarges(derivatives: Path, tmp_path: Path) -> None:
    actions = """<script>
    const all = (selector) => Array.from(document.querySelectorAll(selector));
    const rows = () => all("#scans tbody tr:not([hidden])").map((row) => row.id.slice(5)).join("");
    const words = () => document.querySelector("dialog[open] p").textContent;
    const seen = [rows()];
    const press = (selector) => { document.querySelector(selector).click(); seen.push(rows()); };
    press("button[data-verdict=pass]");
    press("button[data-verdict=all]");
    press("#scans thead th:nth-child(5) button");
    press("#scans thead th:nth-child(5) button");
    const search = document.getElementById("search");
    search.value = "WEST"; search.dispatchEvent(new Event("input")); seen.push(rows());
    press("a.to-scan");
    document.querySelector("#scan-2 [data-picture]").click();
    seen.push(words());
    document.querySelector("dialog button:nth-child(2)").click();
    seen.push(words().split(" ")[0]);
    document.body.replaceChildren(JSON.stringify(seen));
    </script></body>"""
    page = tmp_path / "acted.html"
    page.write_text(write_quality_page(derivatives).read_text().replace("</body>", actions))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    shown = re.search(r"<body>(\[.*?\])\s*</body>", done.stdout, re.DOTALL)
    assert shown is not None, done.stdout[-2000:]
    # In the order of brain volume: 3 (850 mL), 4 (1,234), 2 and 5 (1,400); 1 has none.
    assert json.loads(shown[1]) == [
        "12345", "45", "12345", "34251", "25431", "51", "25431",
        "east_carl · east · Fail · correlation with the template 0.50", "west_dora",
    ]  # fmt: skip
