"""Files that are no whole scan (section 1 of the list of faults)."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.volumes.contents import open_contents
from neurofm.volumes.integrity import judge_file
from neurofm.volumes.nifti import read_volume

Nifti = Callable[..., bytes]
HTML = b"\n<!DOCTYPE html><html><body>404</body></html>" + b" " * 400
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n"
ANNEX = b"/annex/objects/MD5E-s3541769--3a1f.nii.gz\n"


def refused(path: Path) -> ScanError:
    """The error of both ways of opening a file, which must be the same and name the file."""
    with pytest.raises(ScanError) as judged:
        judge_file(path)
    with pytest.raises(ScanError) as read:
        read_volume(path)
    assert str(judged.value) == str(read.value)
    assert judged.value.kind == read.value.kind
    assert "\n" not in str(judged.value)
    assert path.name in str(judged.value)
    return judged.value


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def with_wrong_checksum(data: bytes) -> bytes:
    return flipped(data, len(data) - 6)


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        pytest.param(lambda _: b"", {"empty"}, id="1 zero bytes"),
        pytest.param(lambda d: d[: len(d) // 10], {"truncated"}, id="2 cut off at 10 %"),
        pytest.param(lambda d: d[: len(d) // 2], {"truncated"}, id="2 cut off at 50 %"),
        pytest.param(lambda d: d[: len(d) * 99 // 100], {"truncated"}, id="2 cut off at 99 %"),
        pytest.param(lambda d: d[:-8], {"truncated"}, id="3 no trailer"),
        pytest.param(lambda d: d[:-3], {"truncated"}, id="3 half a trailer"),
        pytest.param(with_wrong_checksum, {"checksum"}, id="4 wrong checksum"),
        pytest.param(lambda d: flipped(d, len(d) - 2), {"checksum"}, id="4 wrong length"),
        pytest.param(
            lambda d: flipped(d, len(d) // 2), {"checksum", "damaged"}, id="5 one bit flipped"
        ),
        pytest.param(lambda d: d + d, {"header"}, id="7 two files in one"),
        pytest.param(lambda d: d + d[:50], {"truncated"}, id="7 half a second member"),
        pytest.param(lambda _: HTML, {"format"}, id="11 web page"),
        pytest.param(lambda _: gzip.compress(HTML), {"format"}, id="11 web page, gzipped"),
        pytest.param(lambda _: b'{"error": "not found"}', {"format"}, id="11 JSON"),
        pytest.param(lambda _: LFS, {"pointer"}, id="12 git-lfs pointer"),
        pytest.param(lambda _: ANNEX, {"pointer"}, id="12 git-annex pointer"),
        pytest.param(lambda _: bytes(128) + b"DICM" + bytes(999), {"format"}, id="17 DICOM"),
        pytest.param(
            lambda _: gzip.compress(b"\0\0\0\1\0\0\1\0" + bytes(999)), {"format"}, id="17 MGZ"
        ),
        pytest.param(lambda _: b"NRRD0004\n" + bytes(999), {"format"}, id="17 NRRD"),
        pytest.param(lambda _: b"\x89HDF\r\n" + bytes(999), {"format"}, id="17 MINC"),
        pytest.param(lambda _: b"PK\x03\x04" + bytes(999), {"format"}, id="zip"),
        pytest.param(lambda _: bytes(2000), {"format"}, id="zeros instead of a file"),
        pytest.param(lambda _: os.urandom(2000), {"format"}, id="noise instead of a file"),
        pytest.param(lambda _: b"ab", {"truncated"}, id="two bytes"),
    ],
)
def test_a_damaged_gzip_file_is_refused(
    tmp_path: Path, nifti: Nifti, damage: Callable[[bytes], bytes], kinds: set[str]
) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(damage(gzip.compress(nifti(), mtime=0)))
    assert refused(path).kind in kinds


def test_every_single_flipped_bit_is_noticed(tmp_path: Path, nifti: Nifti) -> None:
    data = gzip.compress(nifti(), mtime=0)
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(data)
    whole = judge_file(path)
    for place in range(10, len(data), 211):
        path.write_bytes(flipped(data, place))
        with pytest.raises(ScanError):
            judge_file(path)
    assert whole.bytes == len(data)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_plain_file_that_is_cut_off_is_refused(
    tmp_path: Path, nifti: Nifti, share: float
) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti()[: int(len(nifti()) * share)])
    assert refused(path).kind == "truncated"


@pytest.mark.parametrize("length", [348, 352])
def test_a_header_without_voxels_is_refused(tmp_path: Path, nifti: Nifti, length: int) -> None:
    """Case 8."""
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(nifti()[:length]))
    assert refused(path).kind == "truncated"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        pytest.param(lambda d: d + b"junk", "4 bytes follow its gzip stream", id="6 garbage"),
        pytest.param(lambda d: d + b"\x1f", "1 bytes follow its gzip stream", id="6 one byte"),
        pytest.param(lambda d: d + gzip.compress(b""), "2 parts", id="7 empty member"),
        pytest.param(
            lambda d: (
                gzip.compress(gzip.decompress(d)[:3000]) + gzip.compress(gzip.decompress(d)[3000:])
            ),
            "2 parts",
            id="7 one volume in two members",
        ),
        pytest.param(
            lambda d: gzip.compress(gzip.decompress(d) + b"x"), "1 bytes follow", id="a byte more"
        ),
        pytest.param(gzip.decompress, "is not gzip, against its name", id="9 plain called .gz"),
    ],
)
def test_a_harmless_oddity_is_read_and_noted(
    tmp_path: Path,
    nifti: Nifti,
    head: Callable[..., np.ndarray],
    change: Callable[[bytes], bytes],
    note: str,
) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(change(gzip.compress(nifti())))
    read = read_volume(path)
    np.testing.assert_array_equal(read.volume.array, head())
    assert note in "; ".join(read.notes)
    assert note in "; ".join(judge_file(path).notes)


def test_a_gzip_file_without_gz_in_its_name_is_read_and_noted(tmp_path: Path, nifti: Nifti) -> None:
    """Case 10."""
    path = tmp_path / "scan.nii"
    path.write_bytes(gzip.compress(nifti()))
    assert "is gzip, against its name: read by its content" in read_volume(path).notes


def test_a_missing_file_and_a_dangling_link_are_refused(tmp_path: Path) -> None:
    """Case 13."""
    link, annexed = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    link.symlink_to(tmp_path / "gone.nii.gz")
    annexed.symlink_to("../.git/annex/objects/xx/MD5E-s1--0.nii.gz")
    assert refused(tmp_path / "none.nii.gz").kind == "missing"
    assert refused(link).kind == "missing"
    assert "datalad get" in str(refused(annexed))


def test_a_folder_called_like_a_scan_is_refused(tmp_path: Path) -> None:
    """Case 14."""
    path = tmp_path / "x.nii.gz"
    path.mkdir()
    assert refused(path).kind == "not-a-file"


def test_a_pipe_or_device_is_refused_at_once(tmp_path: Path) -> None:
    """Case 23."""
    path = tmp_path / "pipe.nii.gz"
    os.mkfifo(path)
    assert refused(path).kind == "not-a-file"
    assert refused(Path("/dev/zero")).kind == "not-a-file"


def test_a_file_without_read_permission_is_refused(tmp_path: Path, nifti: Nifti) -> None:
    """Case 15; the opener says no as the system does, because root may read everything."""
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti())

    def denied(name: Path) -> BinaryIO:
        raise PermissionError(errno.EACCES, "Permission denied", str(name))

    with (
        pytest.raises(ScanError, match="may not be read; ask for read permission") as caught,
        open_contents(path, denied),
    ):
        pass
    assert caught.value.kind == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path, nifti: Nifti) -> None:
    """Case 15."""
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti())
    path.chmod(stat.S_IWUSR)
    assert refused(path).kind == "unreadable"


def test_half_a_pair_is_refused_and_says_which(tmp_path: Path, nifti: Nifti) -> None:
    """Case 16."""
    for name in ("scan.hdr", "other.img"):
        (tmp_path / name).write_bytes(nifti())
    assert "the other is missing: scan.img" in str(refused(tmp_path / "scan.hdr"))
    assert "the other is missing: other.hdr" in str(refused(tmp_path / "other.img"))
    (tmp_path / "scan.img").write_bytes(nifti())
    assert "missing" not in str(refused(tmp_path / "scan.hdr"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("brain.mgz", "nib-convert SCAN.mgz SCAN.nii.gz", id="17 MGZ"),
        pytest.param("brain.mgh", "nib-convert", id="17 MGH"),
        pytest.param("brain.mnc", "mnc2nii", id="17 MINC"),
        pytest.param("brain.nrrd", "3D Slicer", id="17 NRRD"),
        pytest.param("brain.nhdr", "3D Slicer", id="17 NRRD header"),
        pytest.param("I0001.dcm", "dcm2niix -z y -o OUT FOLDER", id="17 DICOM"),
        pytest.param("I0001.IMA", "dcm2niix", id="17 Siemens DICOM"),
        pytest.param("brain.PAR", "parrec2nii", id="17 Philips"),
        pytest.param("brain+orig.HEAD", "3dAFNItoNIFTI", id="17 AFNI"),
    ],
)
def test_another_format_is_refused_with_the_way_to_nifti(
    tmp_path: Path, name: str, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"anything")
    error = refused(path)
    assert error.kind == "format"
    assert words in error.mend


def test_a_pair_is_told_from_analyze_which_knows_no_left_and_right(tmp_path: Path) -> None:
    """Cases 16, 17."""
    voxels = np.zeros((4, 4, 4), np.int16)
    nib.save(nib.Nifti1Pair(voxels, np.eye(4)), tmp_path / "pair.hdr")
    nib.save(nib.AnalyzeImage(voxels, np.eye(4)), tmp_path / "old.hdr")
    for half in ("hdr", "img"):
        assert "nib-convert SCAN.hdr" in refused(tmp_path / f"pair.{half}").mend
        assert "is Analyze 7.5" in str(refused(tmp_path / f"old.{half}"))


def test_the_named_converter_gives_a_scan_that_is_read(
    tmp_path: Path, head: Callable[..., np.ndarray]
) -> None:
    """Case 17: `nib-convert` is installed with nibabel, and so with neurofm."""
    affine = np.array([[-8, 0, 0, 80], [0, 0, 8, -72], [0, -8, 0, 64], [0, 0, 0, 1.0]])
    nib.save(nib.MGHImage(head(), affine), tmp_path / "brain.mgz")
    converter = Path(sys.executable).with_name("nib-convert")
    paths = [tmp_path / "brain.mgz", tmp_path / "brain.nii.gz"]
    subprocess.run([converter, *paths], check=True)
    expected = nib.as_closest_canonical(nib.load(paths[0])).get_fdata()
    np.testing.assert_array_equal(np.asarray(read_volume(paths[1]).volume.array), expected)


def test_a_file_that_changed_since_it_was_indexed_is_refused(tmp_path: Path, nifti: Nifti) -> None:
    """Case 18."""
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(nifti(), mtime=0))
    indexed = judge_file(path)
    assert read_volume(path, expected_sha256=indexed.sha256).sha256 == indexed.sha256
    path.write_bytes(gzip.compress(nifti(), mtime=1))
    with pytest.raises(ScanError, match="changed since it was indexed"):
        read_volume(path, expected_sha256=indexed.sha256)


@pytest.mark.parametrize(
    "name",
    [
        "mit leerzeichen.nii.gz",
        "größe-脳.nii.gz",
        "-o.nii.gz",
        "a\nb.nii.gz",
        "x" * 248 + ".nii.gz",
    ],
)
def test_unusual_names_work(tmp_path: Path, nifti: Nifti, name: str) -> None:
    """Case 20."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(nifti()))
    assert read_volume(path).volume.shape == (20, 18, 16)


def test_a_name_no_system_accepts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no usable file name"):
        judge_file(tmp_path / "a\0b.nii.gz")
    assert refused(tmp_path / ("y" * 300 + ".nii.gz")).kind == "unreadable"


def test_a_decompression_bomb_is_refused_before_it_inflates(tmp_path: Path, nifti: Nifti) -> None:
    """Case 24."""
    path = tmp_path / "scan.nii.gz"
    for dim in ([3, 1000, 1000, 700, 1, 1, 1, 1], [3, 800, 800, 800, 1, 1, 1, 1]):
        header = nifti(dim=dim, pixdim=[1, 0.3, 0.3, 0.3, 0, 0, 0, 0], data=b"")
        path.write_bytes(gzip.compress(header + bytes(1 << 20)) + bytes(1 << 20))
        assert refused(path).kind == "too-large"


def test_endless_zeros_behind_the_voxels_are_not_inflated_for_ever(
    tmp_path: Path, nifti: Nifti
) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(nifti() + bytes(1 << 26)))
    assert refused(path).kind == "header"
