"""Age, sex and diagnosis in every spelling, and those that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurofm.cohorts.labels import Dialect, Labels, coded_sex_note, labels_of
from neurofm.cohorts.text_table import read_text_table
from neurofm.errors import TableError


def labels(tmp_path: Path, text: str, dialect: Dialect = Dialect()) -> tuple[Labels, ...]:  # noqa: B008
    path = tmp_path / "table.tsv"
    path.write_text(text)
    return labels_of(read_text_table(path), dialect)


@pytest.mark.parametrize("column", ["sex", "Sex", "gender", "GENDER", "SEX_ID (1=m, 2=f)"])
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("M", "m", "male", "MALE", "1", "Man"), "M"),
        (("F", "f", "female", "Female", "2", "2.0"), "F"),
        (("n/a", "", "O", "other", "unknown"), None),
    ],
)
def test_sex_is_understood_in_its_usual_spellings(
    tmp_path: Path, column: str, cells: tuple[str, ...], expected: str | None
) -> None:
    text = f"id\t{column}\n" + "".join(f"{i}\t{cell}\n" for i, cell in enumerate(cells))
    assert {label.sex for label in labels(tmp_path, text)} == {expected}


@pytest.mark.parametrize(
    ("cell", "years"),
    [("34", 34.0), ("38.78", 38.78), ("38,78", 38.78), ("0.5", 0.5), ("n/a", None)],
)
@pytest.mark.parametrize("column", ["age", "Age", "age_years", "Age (years)", "age_at_scan"])
def test_age_is_understood_in_its_usual_spellings(
    tmp_path: Path, column: str, cell: str, years: float | None
) -> None:
    assert labels(tmp_path, f"id\t{column}\n1\t{cell}\n")[0].age_years == years


@pytest.mark.parametrize("cell", ["999", "-1", "63y", "89+", "1e3", "inf", "121"])
def test_an_age_that_cannot_be_one_names_its_line(tmp_path: Path, cell: str) -> None:
    """Case 85."""
    with pytest.raises(TableError, match=r"line 3") as caught:
        labels(tmp_path, f"id\tage\n1\t30\n2\t{cell}\n")
    assert f"'{cell}'" in str(caught.value)


@pytest.mark.parametrize("cell", ["0", "3", "yes"])
def test_a_sex_that_cannot_be_one_names_its_line(tmp_path: Path, cell: str) -> None:
    with pytest.raises(TableError, match="line 2"):
        labels(tmp_path, f"id\tsex\n1\t{cell}\n")


def test_a_code_book_decides_what_a_number_means(tmp_path: Path) -> None:
    dialect = Dialect(sex_levels={"0": "male", "1": "Female"})
    read = labels(tmp_path, "id\tsex\n1\t0\n2\t1\n", dialect)
    assert [label.sex for label in read] == ["M", "F"]
    assert coded_sex_note(read_text_table(tmp_path / "table.tsv"), dialect) == ()
    assert (
        "1 was read as M" in coded_sex_note(read_text_table(tmp_path / "table.tsv"), Dialect())[0]
    )


def test_other_columns_are_kept_as_they_are_written(tmp_path: Path) -> None:
    read = labels(
        tmp_path, "id\tNIHSS\tgroup\tsha256\n1\t07\tdepr\tx\n", Dialect(key_columns=("id",))
    )
    assert read[0].others == {"NIHSS": "07"}
    assert read[0].diagnosis == "depr"


def test_the_newer_labels_overrule_what_they_know_and_nothing_else() -> None:
    older = Labels(30.0, "F", "H", others={"a": "1", "b": "2"})
    newer = Labels(31.0, None, "MCI", others={"b": None, "c": "3"})
    both = older.updated(newer)
    assert both == Labels(31.0, "F", "MCI", others={"a": "1", "b": "2", "c": "3"})
