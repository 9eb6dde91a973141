"""Where the template comes from: nilearn's package, the user's TemplateFlow folder, or a path."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurofm.errors import ConfigError, ScanError
from neurofm.files import sha256_of
from neurofm.preprocess.resampling import coarsen, resample
from neurofm.preprocess.stripped import background_value, stripped_brain
from neurofm.volumes.grids import Grid
from neurofm.volumes.nifti import read_mask, read_volume
from neurofm.volumes.template import packaged_template, packaged_template_file
from neurofm.volumes.volume import Volume

_FLOW_NAME = "tpl-MNI152NLin2009cSym"
_FLOW_FETCH = (
    'fetch it once: pip install templateflow && python -c "from templateflow import api; '
    "api.get('MNI152NLin2009cSym', resolution=1, suffix='T1w'); "
    "api.get('MNI152NLin2009cSym', resolution=1, desc='brain', suffix='mask')\""
)
_WANTED = "use 'nilearn', 'templateflow' or the path of a T1 in MNI152 space"
# Of MNI152 with itself moved along an axis: by 10 mm 0.90, by 12 mm 0.86 to 0.88, by 15 mm 0.83.
_LEAST_OVERLAP = 0.87
_COMPARED_AT_MM = 4.0


@dataclass(frozen=True)
class TemplateFiles:
    """What a template is made of: a T1, and its brain mask where it shows a whole head."""

    image: Path
    mask: Path | None


def template_files(template: str) -> TemplateFiles:
    """The files behind the knob `preprocess.template`.

    Args:
        template: "nilearn"; "templateflow", the symmetric MNI152 2009c at 1 mm in the folder
            $TEMPLATEFLOW_HOME or ~/.cache/templateflow, which is read and never added to; or the
            path of a T1, stripped or with its brain mask beside it.

    Raises:
        ConfigError: there is no such file.
    """
    if template == "nilearn":
        return TemplateFiles(packaged_template_file("t1"), None)
    if template == "templateflow":
        return _flow_files()
    image = Path(template).expanduser()
    if not image.is_file():
        raise ConfigError("no such template", _WANTED, image)
    return TemplateFiles(image, next((m for m in _masks_beside(image) if m.is_file()), None))


def template_sha256(template: str) -> str:
    """The SHA-256 of the template's file; with a mask, of both files' SHA-256, one after another.

    Raises:
        ConfigError: there is no such file.
    """
    files = template_files(template)
    image = sha256_of(files.image)
    if files.mask is None:
        return image
    return hashlib.sha256(f"{image}{sha256_of(files.mask)}".encode()).hexdigest()


def stripped_template(template: str) -> Volume:
    """The T1 template, RAS+, zero outside the brain; shared, read-only.

    Raises:
        ConfigError: it is missing, cannot be read, shows a whole head, or lies elsewhere than
            MNI152.
    """
    if template == "nilearn":
        return packaged_template("t1")
    return _stripped(template_files(template))


@lru_cache(maxsize=2)
def _stripped(files: TemplateFiles) -> Volume:
    try:
        head = read_volume(files.image).volume
        mask = None if files.mask is None else read_mask(files.mask)
    except ScanError as error:
        raise ConfigError(f"is no usable template: it {error.what}", _WANTED, error.where) from None
    if mask is None:
        stripped = _without_background(head, files.image)
    else:
        stripped = _masked(head, mask, files)
    _require_mni152(stripped, files.image)
    stripped.array.flags.writeable = False
    return stripped


def _without_background(head: Volume, where: Path) -> Volume:
    if stripped_brain(head) is None:
        raise ConfigError(
            "shows a whole head, or no brain",
            f"put its brain mask beside it as {_masks_beside(where)[0].name}, or strip it",
            where,
        )
    background = background_value(head.array)
    return Volume(np.where(head.array == background, np.float32(0), head.array), head.affine)


def _masked(head: Volume, mask: Volume, files: TemplateFiles) -> Volume:
    if mask.shape != head.shape or not np.allclose(mask.affine, head.affine, atol=1e-2):
        raise ConfigError(
            f"does not lie on the grid of {files.image.name}", "give the template's own", files.mask
        )
    return Volume(np.where(mask.array, head.array, np.float32(0)), head.affine)


def _require_mni152(stripped: Volume, where: Path) -> None:
    """Refuse a template whose brain lies elsewhere than the brain of the tissue priors."""
    packaged = coarsen(packaged_template("t1"), _COMPARED_AT_MM)
    grid = Grid(packaged.shape, packaged.affine)
    ours = _bright(packaged.array.astype(np.float32))
    theirs = _bright(resample(stripped, grid, np.eye(4)))
    overlap = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
    if overlap < _LEAST_OVERLAP:
        raise ConfigError(
            f"lies elsewhere than MNI152 (overlap of the brains {overlap:.2f})", _WANTED, where
        )


def _bright(image: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return np.asarray(image > 0.1 * np.percentile(image, 99))


def _masks_beside(image: Path) -> list[Path]:
    """What the mask of `image` may be called, the likeliest name first."""
    ending = "".join(image.suffixes[-2:]) if image.suffix == ".gz" else image.suffix
    stem = image.name.removesuffix(ending)
    stems = [f"{stem}_mask"]
    for suffix in ("_T1w", "_desc-head_T1w"):
        if stem.endswith(suffix):
            base = stem.removesuffix(suffix)
            stems = [f"{base}_desc-brain_mask", f"{base}_mask", *stems]
    return [image.with_name(stem + end) for stem in stems for end in (ending, ".nii.gz", ".nii")]


def _flow_files() -> TemplateFiles:
    home = os.environ.get("TEMPLATEFLOW_HOME")
    folder = (Path(home) if home else Path.home() / ".cache" / "templateflow") / _FLOW_NAME
    image = folder / f"{_FLOW_NAME}_res-1_T1w.nii.gz"
    mask = folder / f"{_FLOW_NAME}_res-1_desc-brain_mask.nii.gz"
    for path in (image, mask):
        # TemplateFlow keeps empty files in the place of those it has not fetched.
        if not path.is_file() or not path.stat().st_size:
            raise ConfigError("is not in your TemplateFlow folder", _FLOW_FETCH, path)
    return TemplateFiles(image, mask)
