"""Tables as people save them (section 4 of the list of faults)."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurofm.cohorts.text_table import plain_name, read_text_table
from neurofm.errors import TableError

ROWS = (("001", "a b.nii", None), ("NO", "c,d.nii", "x"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'participant_id,path,dx\n001,a b.nii,\nNO,"c,d.nii",x\n', id="plain"),
        pytest.param(
            b'\xef\xbb\xbfparticipant_id,path,dx\r\n001,a b.nii,\r\nNO,"c,d.nii",x', id="BOM"
        ),
        pytest.param(
            b"participant_id;path;dx\n001;a b.nii;n/a\nNO;c,d.nii;x\n\n\n", id="semicolon"
        ),
        pytest.param(b"participant_id\tpath\tdx\n001\ta b.nii\tNaN\nNO\tc,d.nii\tx\n", id="tab"),
        pytest.param(b'participant_id,path,dx,\n001,a b.nii,,\nNO,"c,d.nii",x,\n', id="last comma"),
        pytest.param(
            "participant_id\tpath\tdx\n001\ta b.nii\t\nNO\tc,d.nii\tx\n".encode("utf-16"),
            id="UTF-16",
        ),
        pytest.param(
            b'\nparticipant_id , path,dx\n , ,\n 001,a b.nii,NA\nNO,"c,d.nii",x\n', id="spaces"
        ),
    ],
)
def test_a_table_is_read_whatever_program_saved_it(tmp_path: Path, data: bytes) -> None:
    """Cases 77, 90."""
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    table = read_text_table(path)
    assert table.columns == ("participant_id", "path", "dx")
    assert table.rows == ROWS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is empty", id="75 empty"),
        pytest.param(b"\n \n", "is empty", id="75 blank"),
        pytest.param(b"a,b\n", "holds no rows", id="75 header only"),
        pytest.param(b"a,b\n1,2,3\n", "line 2 has 3 values, the header has 2", id="long row"),
        pytest.param(b"a,b\n1,2\n3\n", "line 3 has 1 values, the header has 2", id="short row"),
        pytest.param(b"a,a\n1,2\n", "the column 'a' stands twice", id="column twice"),
        pytest.param(b"a,,c\n1,2,3\n", "column 2 has no name", id="nameless column"),
        pytest.param(b"a,b\n\xff\xfd,2\n", "is not UTF-8", id="Latin-1"),
        pytest.param(b"PK\x03\x04\0\0\0,\n1,\n", "is not text", id="spreadsheet"),
        pytest.param(b'a,b\n"1,2\n', "line", id="open quote"),
    ],
)
def test_a_table_that_cannot_be_meant_is_an_error(
    tmp_path: Path, data: bytes, message: str
) -> None:
    """Case 75."""
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(TableError, match=message):
        read_text_table(path)


@pytest.mark.parametrize("name", ["gone.csv", "elsewhere/gone.tsv"])
def test_a_table_that_is_not_there_is_an_error_of_its_own(tmp_path: Path, name: str) -> None:
    """Case 75."""
    with pytest.raises(
        TableError, match=r"gone\.\wsv: cannot be read \(No such file.*; check the path"
    ):
        read_text_table(tmp_path / name)


def test_column_names_are_compared_without_case_and_remarks() -> None:
    assert plain_name(" SEX_ID (1=m, 2=f)") == "sex_id"
    assert plain_name("Age [years]") == "age"
    assert plain_name("Session ID") == "session_id"
