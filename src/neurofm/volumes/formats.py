"""What a file is when it is not NIfTI, told from its name and first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurofm.errors import ScanError

NIFTI_ENDINGS = (".nii", ".nii.gz")
_WEB_PAGE = ("is a web page or text, not an image: the download failed", "download it again")
# How each form becomes NIfTI. nib-convert is installed with neurofm (it is nibabel's).
_FROM_DICOM = "convert the series: dcm2niix -z y -o OUT FOLDER"
_FROM_MGH = "convert it: nib-convert SCAN.mgz SCAN.nii.gz"
_FROM_MINC = "convert it: nib-convert SCAN.mnc SCAN.nii.gz, or mnc2nii"
_FROM_NRRD = "convert it to .nii.gz with 3D Slicer or ITK-SNAP"
_FROM_PAR = "convert it: parrec2nii SCAN.PAR"
_FROM_AFNI = "convert it: 3dAFNItoNIFTI SCAN+orig"
_FROM_PAIR = "convert the pair: nib-convert SCAN.hdr SCAN.nii.gz"
FROM_ANALYZE = "convert the original images to one .nii.gz file"
_DECOMPRESS = "decompress it, and compress it with gzip if you like"

# First bytes of other things found under the name of a scan.
_OTHER_FORMATS: tuple[tuple[bytes, int, str, str], ...] = (
    (b"version https://git-lfs", 0, "is a git-lfs pointer, not the image", "run: git lfs pull"),
    (b"DICM", 128, "is DICOM, not NIfTI", _FROM_DICOM),
    (b"NRRD", 0, "is NRRD, not NIfTI", _FROM_NRRD),
    (b"\x89HDF", 0, "is MINC 2 or another HDF5 file, not NIfTI", _FROM_MINC),
    (b"CDF", 0, "is MINC 1, not NIfTI", _FROM_MINC),
    (b"\x00\x00\x00\x01\x00\x00", 0, "is FreeSurfer MGH, not NIfTI", _FROM_MGH),
    (b"PK\x03\x04", 0, "is a zip archive", "unpack it"),
    (b"ustar", 257, "is a tar archive", "unpack it"),
    (b"BZh", 0, "is compressed with bzip2", _DECOMPRESS),
    (b"\xfd7zXZ", 0, "is compressed with xz", _DECOMPRESS),
    (b"\x28\xb5\x2f\xfd", 0, "is compressed with zstd", _DECOMPRESS),
    (b"<", 0, *_WEB_PAGE),
    (b"{", 0, *_WEB_PAGE),
)
_OTHER_ENDINGS = {
    ".mgz": ("FreeSurfer MGZ", _FROM_MGH),
    ".mgh": ("FreeSurfer MGH", _FROM_MGH),
    ".mnc": ("MINC", _FROM_MINC),
    ".nrrd": ("NRRD", _FROM_NRRD),
    ".nhdr": ("NRRD", _FROM_NRRD),
    ".dcm": ("DICOM", _FROM_DICOM),
    ".ima": ("DICOM", _FROM_DICOM),
    ".par": ("Philips PAR/REC", _FROM_PAR),
    ".rec": ("Philips PAR/REC", _FROM_PAR),
    ".brik": ("AFNI", _FROM_AFNI),
    ".head": ("AFNI", _FROM_AFNI),
}
_PAIR_ENDINGS = {".hdr": ".img", ".img": ".hdr"}


@dataclass(frozen=True)
class OtherForm:
    """A form of image that is not read: its name, and how to convert it."""

    name: str
    mend: str


def is_nifti_name(path: Path) -> bool:
    """Whether a file is called `.nii` or `.nii.gz`, in any case."""
    return path.name.lower().endswith(NIFTI_ENDINGS)


def other_form(path: Path) -> OtherForm | None:
    """The form of an existing file that is an image but no NIfTI, by its name or first bytes.

    Only names that tell nothing (DICOM files often have none) are looked into.
    """
    ending = path.suffix.lower()
    if ending in _OTHER_ENDINGS:
        return OtherForm(*_OTHER_ENDINGS[ending])
    if ending in _PAIR_ENDINGS:
        return OtherForm("Analyze or a .hdr/.img pair", _FROM_PAIR)
    if ending and not ending.lstrip(".").isdigit():
        return None
    try:
        with path.open("rb") as file:
            file.seek(128)
            return OtherForm("DICOM", _FROM_DICOM) if file.read(4) == b"DICM" else None
    except OSError:
        return None


def refuse_foreign_name(path: Path) -> None:
    """Raise a `ScanError` where the name tells another format, naming the way to NIfTI."""
    ending = path.suffix.lower()
    if ending in _OTHER_ENDINGS:
        name, mend = _OTHER_ENDINGS[ending]
        raise ScanError(f"is {name}, not NIfTI", mend, path, kind="format")
    if ending in _PAIR_ENDINGS:
        _refuse_pair(path, path.with_suffix(_PAIR_ENDINGS[ending]))


def _refuse_pair(path: Path, other: Path) -> None:
    if not other.exists():
        raise ScanError(
            f"is half of a .hdr/.img pair, the other is missing: {other.name}",
            "restore it, then " + _FROM_PAIR, path, kind="format",
        )  # fmt: skip
    try:
        with path.with_suffix(".hdr").open("rb") as file:
            is_nifti = file.read(348)[344:347] in (b"ni1", b"n+1")
    except OSError:
        is_nifti = False
    if is_nifti:
        raise ScanError("is half of a .hdr/.img pair", _FROM_PAIR, path, kind="format")
    raise ScanError(
        "is Analyze 7.5, which does not say where left and right are",
        FROM_ANALYZE, path, kind="format",
    )  # fmt: skip


def refuse_foreign_format(head: bytes, path: Path) -> None:
    """Raise a `ScanError` where the first bytes (up to 512) are those of another format."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"/annex/objects/" in head[:300]:
        raise ScanError(
            "is a git-annex pointer, not the image", "run: datalad get", path, kind="pointer"
        )
    for magic, offset, what, mend in _OTHER_FORMATS:
        at = text if magic in (b"<", b"{") else head[offset:]
        if at.startswith(magic):
            kind = "pointer" if b"git-lfs" in magic else "format"
            raise ScanError(what, mend, path, kind=kind)
