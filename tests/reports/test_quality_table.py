from __future__ import annotations

from pathlib import Path

import pytest

from neurofm.errors import ContractError, RunError
from neurofm.files import read_json, write_json, write_text
from neurofm.preprocess.quality import LIMITS, Quality
from neurofm.reports.quality_numbers import describe_number
from neurofm.reports.quality_table import read_quality


def test_scans_without_a_result_come_first_then_the_failed_ones(derivatives: Path) -> None:
    table = read_quality(derivatives)
    assert [scan.verdict for scan in table.scans] == ["no result", "fail", "look", "pass", "pass"]
    assert [scan.name for scan in table.scans] == [
        "emil, emil.nii.gz", "east_carl", "east_bert", "east_anna", "west_dora",
    ]  # fmt: skip
    assert table.counts() == {"no result": 1, "fail": 1, "look": 1, "pass": 2}
    assert table.counts("west") == {"no result": 1, "fail": 0, "look": 0, "pass": 1}
    assert table.cohorts == ("east", "west")


def test_whatever_number_a_sidecar_holds_is_in_the_table(derivatives: Path) -> None:
    table = read_quality(derivatives)
    assert [n.name for n in table.numbers] == ["brain_ml", "correlation", "scale", "new_number_mm"]
    guessed = table.numbers[-1]
    assert (guessed.heading, guessed.text(12.34)) == ("New number, mm", "12.3")


def test_versions_that_differ_among_scans_are_all_told(derivatives: Path) -> None:
    sidecar = next(derivatives.rglob("sub-anna*.json"))
    record = read_json(sidecar)
    record["software"]["scipy"] = "1.16.0"
    write_json(sidecar, record)
    assert read_quality(derivatives).software["scipy"] == ("1.15.3", "1.16.0")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"quality": 3}', "null"])
def test_a_scan_with_a_damaged_sidecar_is_kept_with_a_note(derivatives: Path, content: str) -> None:
    write_text(next(derivatives.rglob("sub-anna*.json")), content)
    scan = next(scan for scan in read_quality(derivatives).scans if scan.name == "east_anna")
    assert (scan.verdict, scan.numbers) == ("pass", {})
    assert "sidecar" in scan.notes[0]


def test_a_folder_without_a_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"has no preprocessing\.json"):
        read_quality(tmp_path)


def test_a_folder_that_preprocessing_has_not_finished_is_refused(derivatives: Path) -> None:
    (derivatives / "index.parquet").unlink()
    with pytest.raises(RunError, match="has not come to its end"):
        read_quality(derivatives)


def test_a_list_of_failures_with_other_columns_is_refused(derivatives: Path) -> None:
    write_text(derivatives / "failures.csv", "file,why\na,b\n")
    with pytest.raises(RunError, match="is not the list of failures"):
        read_quality(derivatives)


def test_every_number_that_is_measured_has_a_title_and_a_meaning() -> None:
    names = set(Quality.__dataclass_fields__) - {"verdict", "reasons"}
    assert {limit.name for limit in LIMITS} <= names
    assert [name for name in sorted(names) if not describe_number(name, 1.0).meaning] == []


def test_the_documentation_tells_the_limits_that_hold() -> None:
    text = (Path(__file__).parents[2] / "docs" / "quality-control.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if "| `" in line}
    told = {name: row.split("|")[4].strip() for name, row in rows.items()}
    limits = {limit.name: describe_number(limit.name, 1.0).limits_in_words() for limit in LIMITS}
    assert {name: words for name, words in told.items() if words} == limits


def test_limits_are_told_without_the_ends_that_cannot_be_passed() -> None:
    brain, correlation = describe_number("brain_ml", 1.0), describe_number("correlation", 1.0)
    assert "look below 900" in brain.limits_in_words()
    assert "above" not in correlation.limits_in_words()
    assert "below" not in describe_number("rotation_degrees", 1.0).limits_in_words()
    assert describe_number("csf_ml", 1.0).limits_in_words() == ""


def test_a_value_stands_within_or_outside_its_limits() -> None:
    brain = describe_number("brain_ml", 1.0)
    assert [brain.standing(value) for value in (1400, 850, 300, 2100, 3000)] == [
        "", "look", "fail", "look", "fail",
    ]  # fmt: skip
    assert describe_number("unheard_of", 1.0).standing(1e9) == ""


def test_numbers_are_written_for_reading() -> None:
    brain, offset = describe_number("brain_ml", 1.0), describe_number("centre_offset_mm", 1.0)
    assert brain.text(1234.4) == "1,234"
    assert offset.text(-0.01) == "0.0"
    assert offset.text(-2.25) == "\N{MINUS SIGN}2.2"
    assert offset.text(None) == ""
