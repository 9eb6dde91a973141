"""What preprocessing says of a scan that reads well and still is no good T1-weighted brain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurofm.config import PreprocessConfig
from neurofm.errors import ScanError
from neurofm.preprocess.pipeline import Prepared, prepare_scan
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume

Array = npt.NDArray[np.float32]


def what_becomes_of(
    array: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], config: PreprocessConfig,
    folder: Path,
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    """The verdict and its reasons, or the kind of the refusal and its words."""
    path = folder / "odd.nii.gz"
    write_volume(path, Volume(array, affine))
    try:
        quality = prepare_scan(path, config).quality
    except ScanError as error:
        return error.kind, (error.what, error.mend)
    return quality.verdict, quality.reasons


def inverted(brain: Array) -> Array:
    return np.where(brain > 0, 1.05 * np.percentile(brain[brain > 0], 99) - brain, 0).clip(0)


def flat_inside(brain: Array) -> Array:
    noise = np.random.default_rng(1).normal(900, 40, brain.shape)
    return np.where(brain > 0, noise, 0).astype(np.float32)


def bright_fluid_dark_white(brain: Array) -> Array:
    smooth = ndimage.gaussian_filter(brain, 1)
    grey = np.percentile(smooth[brain > 0], 45)
    return np.where(brain > 0, 900 * np.exp(-np.abs(smooth - grey) / grey), 0).astype(np.float32)


@pytest.mark.parametrize(
    "contrast",
    [
        pytest.param(inverted, id="65 fluid bright, white matter dark, as in a T2"),
        pytest.param(
            bright_fluid_dark_white,
            marks=pytest.mark.slow,
            id="65 grey matter brightest, as in a FLAIR or PET",
        ),
        pytest.param(flat_inside, marks=pytest.mark.slow, id="65 no tissue contrast, as in a CT"),
    ],
)
def test_another_contrast_does_not_pass(
    contrast: Callable[[Array], Array],
    known_scan: Volume,
    quick_config: PreprocessConfig,
    tmp_path: Path,
) -> None:
    verdict, reasons = what_becomes_of(
        contrast(known_scan.array), known_scan.affine, quick_config, tmp_path
    )
    assert verdict != "pass"
    assert reasons


def test_a_stripped_scan_is_recognised_and_noted(prepared: Prepared) -> None:
    """Case 66."""
    assert prepared.brain_source == "already-stripped"
    assert "came stripped; the brain is kept as it is" in prepared.notes


@pytest.mark.parametrize(
    "axis", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_half_a_brain_does_not_pass(
    axis: int, known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """Case 68."""
    half = known_scan.array.copy()
    middle = int(ndimage.center_of_mass(half > 0)[axis])
    half[(slice(None),) * axis + (slice(None, middle),)] = 0
    verdict, reasons = what_becomes_of(half, known_scan.affine, quick_config, tmp_path)
    assert verdict in {"look", "fail", "brain-size"}
    assert reasons


@pytest.mark.parametrize(
    "axis", [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow), 2]
)
def test_a_field_of_view_that_ends_in_the_brain_does_not_pass(
    axis: int, known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """Case 68."""
    middle = int(ndimage.center_of_mass(known_scan.array > 0)[axis]) + 3
    seen = (slice(None),) * axis + (slice(middle - 26, middle),)
    affine = known_scan.affine.copy()
    affine[axis, 3] += affine[axis, axis] * (middle - 26)
    verdict, reasons = what_becomes_of(known_scan.array[seen], affine, quick_config, tmp_path)
    assert verdict in {"look", "fail", "brain-size", "contrast"}
    assert reasons


@pytest.mark.parametrize(("millilitres", "voxels"), [(0, 0), (64, 1000), (3002, 46_900)])
def test_a_mask_of_no_brains_size_is_refused(
    millilitres: int, voxels: int, known_scan: Volume, scan_file: Path, tmp_path: Path
) -> None:
    """Case 69."""
    distance = ndimage.distance_transform_edt(known_scan.array == 0).ravel()
    depth = ndimage.distance_transform_edt(known_scan.array > 0).ravel()
    mask = np.zeros(known_scan.array.size, np.uint8)
    mask[np.argsort(distance - depth, kind="stable")[:voxels]] = 1
    path = tmp_path / "mask.nii.gz"
    write_volume(path, Volume(mask.reshape(known_scan.shape), known_scan.affine), np.uint8)
    with pytest.raises(ScanError) as caught:
        prepare_scan(scan_file, PreprocessConfig(), path)
    assert caught.value.kind == ("brain-size" if voxels else "empty-mask")
    if voxels:
        assert f"{millilitres} mL" in caught.value.what


@pytest.mark.parametrize("how", ["moved", "cut", "coarser"])
def test_a_mask_on_another_grid_is_refused(
    how: str, known_scan: Volume, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """Case 70."""
    mask, affine = known_scan.array > 0, known_scan.affine.copy()
    if how == "moved":
        affine[0, 3] += 4
    elif how == "cut":
        mask = mask[1:]
    else:
        mask, affine = mask[::2, ::2, ::2], affine @ np.diag([2, 2, 2, 1])
    path = tmp_path / "mask.nii.gz"
    write_volume(path, Volume(mask, affine), np.uint8)
    with pytest.raises(ScanError, match="grid") as caught:
        prepare_scan(scan_file, quick_config, path)
    assert caught.value.mend


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(
            Rotation.from_euler("x", 90, degrees=True),
            marks=pytest.mark.slow,
            id="72 a quarter turn, nodding",
        ),
        pytest.param(
            Rotation.from_euler("y", 90, degrees=True),
            marks=pytest.mark.slow,
            id="72 a quarter turn, leaning",
        ),
        pytest.param(
            Rotation.from_euler("z", 90, degrees=True),
            marks=pytest.mark.slow,
            id="72 a quarter turn, looking",
        ),
        pytest.param(Rotation.from_euler("x", 180, degrees=True), id="72 upside down"),
        pytest.param(
            Rotation.from_euler("z", 180, degrees=True),
            marks=pytest.mark.slow,
            id="72 back to front",
        ),
    ],
)
def test_a_head_whose_header_lies_does_not_pass(
    turn: Rotation, known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    wrong = np.eye(4)
    wrong[:3, :3] = turn.as_matrix()
    affine = wrong @ known_scan.affine
    verdict, reasons = what_becomes_of(known_scan.array, affine, quick_config, tmp_path)
    assert verdict in {"look", "fail"}
    assert reasons


@pytest.mark.slow
@pytest.mark.parametrize("axis", [1, 2], ids=["72 front mirrored to back", "72 top to bottom"])
def test_a_mirrored_head_does_not_pass(
    axis: int, known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    mirrored = np.flip(known_scan.array, axis)
    verdict, _ = what_becomes_of(mirrored, known_scan.affine, quick_config, tmp_path)
    assert verdict in {"look", "fail"}


def ball(grid: npt.NDArray[np.float64]) -> Array:
    """A bottle of 1.4 litres: as bright as white matter all through."""
    radius = np.linalg.norm(grid, axis=0)
    return np.where(radius < 70, 900 + 20 * np.sin(radius), 0).astype(np.float32)


def small_skull(grid: npt.NDArray[np.float64]) -> Array:
    """A brain with two smooth lobes of 600 to 900 mL, as an ape's, without a human's folds."""
    left, right = (np.linalg.norm((grid - c) / s, axis=0) for c, s in LOBES)
    depth = np.minimum(left, right)
    return np.where(depth < 1, np.where(depth < 0.75, 900, 550), 0).astype(np.float32)


LOBES = tuple(
    (np.array([x, 0, 0]).reshape(3, 1, 1, 1), np.array([32, 70, 42]).reshape(3, 1, 1, 1))
    for x in (-30, 30)
)


@pytest.mark.parametrize(
    "thing",
    [
        pytest.param(ball, marks=pytest.mark.slow, id="73 a bottle"),
        pytest.param(small_skull, id="73 smooth lobes"),
    ],
)
def test_what_is_no_human_brain_does_not_pass(
    thing: Callable[[npt.NDArray[np.float64]], Array],
    quick_config: PreprocessConfig,
    tmp_path: Path,
) -> None:
    grid = (np.indices((56, 56, 56)) - 27.5) * 4.0
    noise = np.random.default_rng(2).normal(0, 10, (56, 56, 56))
    array = thing(grid)
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -110
    shown = np.where(array > 0, array + noise, 0).astype(np.float32)
    verdict, reasons = what_becomes_of(shown, affine, quick_config, tmp_path)
    assert verdict != "pass"
    assert reasons
