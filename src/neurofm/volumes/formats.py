"""What a file is when it is not NIfTI, told from its name and first bytes."""

from __future__ import annotations

from pathlib import Path

from neurofm.errors import ScanError

NIFTI_ENDINGS = (".nii", ".nii.gz")
_CONVERT = "convert it to NIfTI (.nii or .nii.gz)"
_WEB_PAGE = ("is a web page or text, not an image: the download failed", "download it again")

# First bytes of other things found under the name of a scan.
_OTHER_FORMATS: tuple[tuple[bytes, int, str, str], ...] = (
    (b"version https://git-lfs", 0, "is a git-lfs pointer, not the image", "run: git lfs pull"),
    (b"DICM", 128, "is DICOM", "convert the series with dcm2niix"),
    (b"NRRD", 0, "is NRRD", _CONVERT),
    (b"\x89HDF", 0, "is MINC 2 or another HDF5 file", _CONVERT),
    (b"CDF", 0, "is MINC 1", _CONVERT),
    (b"\x00\x00\x00\x01\x00\x00", 0, "is FreeSurfer MGH", "convert it with mri_convert"),
    (b"PK\x03\x04", 0, "is a zip archive", "unpack it"),
    (b"ustar", 257, "is a tar archive", "unpack it"),
    (b"BZh", 0, "is compressed with bzip2", _CONVERT),
    (b"\xfd7zXZ", 0, "is compressed with xz", _CONVERT),
    (b"\x28\xb5\x2f\xfd", 0, "is compressed with zstd", _CONVERT),
    (b"<", 0, *_WEB_PAGE),
    (b"{", 0, *_WEB_PAGE),
)
_OTHER_ENDINGS = {
    ".mgz": ("FreeSurfer MGZ", "convert it with mri_convert"),
    ".mgh": ("FreeSurfer MGH", "convert it with mri_convert"),
    ".mnc": ("MINC", _CONVERT),
    ".nrrd": ("NRRD", _CONVERT),
    ".nhdr": ("NRRD", _CONVERT),
    ".dcm": ("DICOM", "convert the series with dcm2niix"),
    ".ima": ("DICOM", "convert the series with dcm2niix"),
}


def is_nifti_name(path: Path) -> bool:
    """Whether a file is called `.nii` or `.nii.gz`, in any case."""
    return path.name.lower().endswith(NIFTI_ENDINGS)


def refuse_foreign_name(path: Path) -> None:
    """Raise a `ScanError` where the name tells another format, naming the way to NIfTI."""
    ending = path.suffix.lower()
    if ending in _OTHER_ENDINGS:
        name, mend = _OTHER_ENDINGS[ending]
        raise ScanError(f"is {name}, not NIfTI", mend, path, kind="format")
    if ending in {".hdr", ".img"}:
        other = path.with_suffix(".img" if ending == ".hdr" else ".hdr")
        what = "is half of a .hdr/.img pair" + ("" if other.exists() else ", the other is missing")
        raise ScanError(what, "convert the pair to one .nii.gz file", path, kind="format")


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
