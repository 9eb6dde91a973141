"""Brain extraction by programs a user may have: SynthStrip and HD-BET."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurofm.errors import MissingDependencyError, ScanError
from neurofm.preprocess.outside_program import (
    TIME_LIMIT_SECONDS,
    Program,
    find_program,
    run_program,
)
from neurofm.volumes.nifti import read_mask, write_volume
from neurofm.volumes.volume import Volume

SYNTHSTRIP = Program(
    "synthstrip",
    ("mri_synthstrip", "nipreps-synthstrip"),
    "install FreeSurfer 7.3 or later, or pip install nipreps-synthstrip; see docs/backends.md",
)
HD_BET = Program(
    "hd-bet", ("hd-bet",), "pip install 'hd-bet>=2', in an environment of its own perhaps"
)
# Where the weights are that nipreps-synthstrip comes without.
MODEL_VARIABLE = "SYNTHSTRIP_MODEL"


def outside_mask(
    scan: Volume, program: Program, limit_seconds: float = TIME_LIMIT_SECONDS
) -> npt.NDArray[np.bool_]:
    """The brain in a scan as an outside program sees it, on the scan's grid.

    The scan goes to the program as a temporary file of our own writing. Only the mask it leaves
    counts, not what it says of itself.

    Args:
        scan: T1-weighted, RAS+ order.
        program: `SYNTHSTRIP` or `HD_BET`.
        limit_seconds: the program is killed after this time.

    Raises:
        ScanError: (kind "tool") there is no mask in time, an empty one, or one of another grid.
        MissingDependencyError: the program is not installed.
    """
    command = find_program(program)
    with tempfile.TemporaryDirectory(prefix="neurofm-") as name:
        folder = Path(name)
        image, mask = folder / "scan.nii.gz", folder / "brain_bet.nii.gz"
        write_volume(image, scan)
        ending = run_program([command, *_arguments(command, image, mask)], folder, limit_seconds)
        try:
            found = read_mask(mask)
        except ScanError as error:
            raise _no_use(command, error.what, ending) from None
    if found.shape != scan.shape:
        raise _no_use(command, f"has {found.shape} voxels, the scan {scan.shape}", ending)
    if not np.allclose(found.affine, scan.affine, atol=1e-2):
        raise _no_use(command, "lies elsewhere than the scan", ending)
    return np.asarray(found.array, dtype=bool)


def require_outside_brain(program: Program) -> None:
    """Raise a `MissingDependencyError` where the program, or its model, is not there."""
    _arguments(find_program(program), Path("scan.nii.gz"), Path("mask.nii.gz"))


def _arguments(command: Path, image: Path, mask: Path) -> list[str | Path]:
    if command.name == "mri_synthstrip":
        return ["-i", image, "-m", mask]
    if command.name == "nipreps-synthstrip":
        return ["-i", image, "-m", mask, "--model", _model()]
    # Version 2 names the mask after the image it would write: brain.nii.gz, brain_bet.nii.gz.
    brain = mask.with_name(mask.name.replace("_bet", ""))
    device = ["-device", "cpu", "--disable_tta"]
    return ["-i", image, "-o", brain, *device, "--save_bet_mask", "--no_bet_image"]


def _model() -> Path:
    given = os.environ.get(MODEL_VARIABLE)
    home = os.environ.get("FREESURFER_HOME")
    path = Path(given) if given else Path(home or "/") / "models" / "synthstrip.1.pt"
    if not path.is_file():
        raise MissingDependencyError(
            "nipreps-synthstrip comes without the weights of SynthStrip, synthstrip.1.pt",
            f"get the file from surfer.nmr.mgh.harvard.edu/docs/synthstrip, set {MODEL_VARIABLE} "
            "to its path",
        )
    return path.resolve()


def _no_use(command: Path, what: str, ending: str) -> ScanError:
    return ScanError(
        f"{command.name} left no usable mask: it {what} (the program {ending})",
        "try it on this scan by hand, or give a mask_path",
        kind="tool",
    )
