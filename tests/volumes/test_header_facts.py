"""A header is told as it is written, right or wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.volumes.header_facts import read_header_facts

Nifti = Callable[..., bytes]
NAN = float("nan")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_sound_header_is_told_in_mm(
    tmp_path: Path, nifti: Nifti, order: str, version: int
) -> None:
    path = tmp_path / "scan.nii.gz"
    data = nifti(order=order, version=version, descrip=b"Doe", extension=bytes(32), scl_slope=2)
    path.write_bytes(gzip.compress(data))
    facts = read_header_facts(path)
    assert (facts.form, facts.big_endian) == (f"NIfTI-{version}", order == ">")
    assert (facts.compressed, facts.file_bytes) == (True, path.stat().st_size)
    assert (facts.dimensions, facts.spacing_mm) == ((20, 18, 16), (8.0, 8.0, 8.0))
    assert (facts.unit, facts.voxel_type) == ("mm", "int16")
    assert (facts.slope, facts.intercept) == (2.0, 0.0)
    assert (facts.text_fields, facts.extension_bytes) == (("descrip",), 32)
    assert facts.sform is not None
    assert facts.qform is not None
    np.testing.assert_allclose(facts.sform, facts.qform)
    assert "Doe" not in repr(facts)


def test_lengths_in_metres_are_told_in_mm(tmp_path: Path, nifti: Nifti) -> None:
    rows = {"srow_x": [0.008, 0, 0, 0], "srow_y": [0, 0.008, 0, 0], "srow_z": [0, 0, 0.008, 0]}
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(xyzt_units=1, pixdim=[1, 0.008, 0.008, 0.008, 0, 0, 0, 0], **rows))
    facts = read_header_facts(path)
    assert facts.unit == "m"
    np.testing.assert_allclose(facts.spacing_mm, 8, rtol=1e-6)
    assert facts.sform is not None
    np.testing.assert_allclose(np.diag(facts.sform), [8, 8, 8, 1], rtol=1e-6)


def test_nonsense_is_told_as_nonsense(tmp_path: Path, nifti: Nifti) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(
        nifti(dim=[9, -1, 0, 3, 1, 1, 1, 1], datatype=32, sform_code=0, qform_code=0,
              vox_offset=NAN, pixdim=[1, NAN, 0, -1, 0, 0, 0, 0], xyzt_units=7)
    )  # fmt: skip
    facts = read_header_facts(path)
    assert facts.dimensions == (-1, 0, 3, 1, 1, 1, 1)
    assert facts.voxel_type == "complex voxels"
    assert (facts.sform, facts.qform, facts.unit) == (None, None, "unknown")
    np.testing.assert_array_equal(facts.spacing_mm, [NAN, 0, -1])


def test_an_unusable_matrix_is_told_as_none(tmp_path: Path, nifti: Nifti) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(srow_x=NAN, quatern_b=1, quatern_c=1))
    facts = read_header_facts(path)
    assert (facts.sform, facts.qform) == (None, None)
    assert (facts.sform_code, facts.qform_code) == (1, 1)


def test_what_does_not_begin_as_nifti_is_refused(tmp_path: Path, nifti: Nifti) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti()[:200])
    with pytest.raises(ScanError, match="too short|ends inside"):
        read_header_facts(path)
