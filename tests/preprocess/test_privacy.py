"""What a header says of a person, and where a file lay, goes into no result."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from PIL import Image

from neurofm.cohorts.index import COLUMNS, read_index
from neurofm.config import PreprocessConfig
from neurofm.files import read_json
from neurofm.preprocess.batch import preprocess_index
from neurofm.preprocess.naming import Layout
from neurofm.reports.quality_page import write_quality_page

SECRETS = (b"Jane Roe", b"1955-03-07", b"Mercy Hospital", b"MRN 4711", b"Dr Who")
FOLDER = "very-private-folder"


@pytest.fixture
def telling_scan(scan_file: Path, tmp_path: Path) -> Path:
    """A scan with a person's data in every field of free text and in an extension."""
    raw = bytearray(gzip.decompress(scan_file.read_bytes()))
    for offset, secret in zip((148, 14, 228, 328), SECRETS, strict=False):
        raw[offset : offset + len(secret)] = secret
    extension = struct.pack("<2i", 48, 6) + SECRETS[4].ljust(40, b"\0")
    raw[108:112] = struct.pack("<f", 352 + len(extension))
    raw[348] = 1
    path = tmp_path / FOLDER / "Jane Roe.nii.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(bytes(raw[:352]) + extension + bytes(raw[352:]), mtime=0))
    return path


@pytest.mark.parametrize("layout", get_args(Layout))
def test_no_header_text_and_no_path_is_in_any_result(
    layout: Layout, telling_scan: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """Fault 55: descrip, db_name, aux_file, intent_name, extension; the index keeps the path."""
    row = {"scan_id": "c_p", "cohort": "c", "participant_id": "p", "path": str(telling_scan)}
    frame = pd.DataFrame([dict.fromkeys(COLUMNS) | row], columns=list(COLUMNS))
    folder = tmp_path / "out"
    assert preprocess_index(frame, folder, quick_config, 0, layout=layout).finished == 1
    write_quality_page(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {".gz", ".json", ".png", ".html", ".parquet"} <= {path.suffix for path in files}
    for path in files:
        for secret in (*SECRETS, FOLDER.encode(), str(tmp_path).encode()):
            assert secret not in everything_in(path), path.name
    (sidecar,) = [
        path for path in files if path.suffix == ".json" and b'"seconds"' in path.read_bytes()
    ]
    assert any("descrip" in note for note in read_json(sidecar)["notes"])


def everything_in(path: Path) -> bytes:
    """A file's bytes, unpacked where they are packed; of the index, all but the scan's path."""
    if path.suffix == ".gz":
        return path.read_bytes() + gzip.decompress(path.read_bytes())
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return path.read_bytes() + repr(picture.info).encode()
    if path.suffix == ".parquet":
        return str(read_index(path).drop(columns="path").to_csv()).encode()
    return path.read_bytes()
