from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neurofm.config import PreprocessConfig
from neurofm.errors import ScanError
from neurofm.preprocess.likeness import dice
from neurofm.preprocess.pipeline import Prepared, StepClock, prepare_scan
from neurofm.preprocess.resampling import resample
from neurofm.preprocess.template_space import template_space
from neurofm.volumes.grids import Grid, template_grid
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume


def test_a_scan_of_the_template_comes_to_lie_on_the_template(
    prepared: Prepared, to_template: np.ndarray
) -> None:
    assert prepared.image.shape == template_grid(6.0).shape
    assert prepared.brain_source == "already-stripped"
    assert prepared.quality.verdict == "pass"
    brain = np.asarray(template_space("nilearn", 6.0).brain.array, dtype=bool)
    assert dice(np.asarray(prepared.brain_mask.array, dtype=bool), brain) > 0.93
    places = np.array([[0, 0, 0, 1], [40, -60, 30, 1], [-40, 40, -20, 1]]).T
    error = (prepared.transform @ np.linalg.inv(to_template) - np.eye(4)) @ places
    assert np.linalg.norm(error[:3], axis=0).max() < 2.5


def test_units_background_and_labels_are_what_they_are_said_to_be(prepared: Prepared) -> None:
    image, mask = prepared.image.array, np.asarray(prepared.brain_mask.array, dtype=bool)
    assert image.dtype == np.float32
    assert np.unique(image[~mask]) == pytest.approx([prepared.stripe.background], rel=1e-5)
    assert np.array_equal(prepared.tissue.array > 0, mask)
    assert set(np.unique(prepared.tissue.array)) == {0, 1, 2, 3}
    white = image[np.asarray(prepared.tissue.array) == 3]
    assert abs(np.median(white)) < 5


ORIENTATIONS = [
    "".join(("LR", "PA", "IS")[axis][sign] for axis, sign in zip(order, signs, strict=True))
    for order in itertools.permutations(range(3))
    for signs in itertools.product((0, 1), repeat=3)
]
QUICK_ONES = {"PIR"}


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(codes, marks=[] if codes in QUICK_ONES else [pytest.mark.slow])
        for codes in ORIENTATIONS
    ],
)
def test_the_order_of_the_voxels_in_the_file_makes_no_difference(
    codes: str, known_scan: Volume, quick_config: PreprocessConfig, prepared: Prepared,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Case 45."""
    image = nib.Nifti1Image(known_scan.array, known_scan.affine)
    turned = image.as_reoriented(nib.orientations.axcodes2ornt(codes))
    nib.save(turned, tmp_path / "turned.nii.gz")
    again = prepare_scan(tmp_path / "turned.nii.gz", quick_config)
    np.testing.assert_array_equal(again.image.array, prepared.image.array)
    np.testing.assert_array_equal(again.tissue.array, prepared.tissue.array)
    np.testing.assert_allclose(again.transform, prepared.transform, atol=1e-3)


@pytest.mark.parametrize("degrees", [pytest.param(30, marks=pytest.mark.slow), 46])
def test_a_head_on_a_tilted_grid_comes_to_lie_where_a_straight_one_does(
    degrees: float, known_scan: Volume, quick_config: PreprocessConfig, prepared: Prepared,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Case 46: beyond 45 degrees the axes change places, and what is left is a turn back."""
    affine = known_scan.affine.copy()
    affine[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    middle = np.append((np.array(known_scan.shape) - 1) / 2, 1)
    affine[:3, 3] = (known_scan.affine @ middle)[:3] - affine[:3, :3] @ middle[:3]
    tilted = resample(known_scan, Grid(known_scan.shape, affine), np.eye(4))
    nib.save(nib.Nifti1Image(tilted, affine), tmp_path / "tilted.nii.gz")
    again = prepare_scan(tmp_path / "tilted.nii.gz", quick_config)
    inside = np.asarray(prepared.brain_mask.array) & np.asarray(again.brain_mask.array)
    images = (np.asarray(each.image.array)[inside] for each in (prepared, again))
    assert np.corrcoef(*images)[0, 1] > 0.95  # the tilted grid blurs
    places = np.array([[0, 0, 0, 1], [40, -60, 30, 1], [-40, 40, -20, 1]]).T
    error = (again.transform @ np.linalg.inv(prepared.transform) - np.eye(4)) @ places
    assert np.linalg.norm(error[:3], axis=0).max() < 2.5


@pytest.mark.slow
def test_an_affine_registration_takes_a_small_head_to_the_templates_size(
    known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    affine = np.diag([0.92, 0.92, 0.92, 1]) @ known_scan.affine
    write_volume(tmp_path / "small.nii.gz", Volume(known_scan.array, affine))
    config = quick_config.model_copy(update={"transform": "affine"})
    quality = prepare_scan(tmp_path / "small.nii.gz", config).quality
    assert quality.scale == pytest.approx(1 / 0.92, abs=0.03)
    assert quality.overlap > 0.93
    assert quality.verdict == "pass"


def test_a_given_mask_decides_where_the_brain_is(
    known_scan: Volume, scan_file: Path, quick_config: PreprocessConfig, prepared: Prepared,
    tmp_path: Path,
) -> None:  # fmt: skip
    mask = known_scan.array > 0
    mask[:, :, :20] = False
    path = tmp_path / "mask.nii.gz"
    write_volume(path, Volume(mask, known_scan.affine), np.uint8)
    given = prepare_scan(scan_file, quick_config, path)
    assert given.brain_source == "given"
    whole = known_scan.array > 0
    assert given.quality.brain_ml == pytest.approx(
        mask.sum() / whole.sum() * prepared.quality.brain_ml, rel=0.08
    )


@pytest.mark.parametrize("scale", [0.6, 1.5])
def test_a_brain_of_impossible_size_is_refused(
    scale: float, known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    path, mask_path = tmp_path / "odd.nii.gz", tmp_path / "mask.nii.gz"
    affine = np.diag([scale, scale, scale, 1]) @ known_scan.affine
    write_volume(path, Volume(known_scan.array, affine))
    write_volume(mask_path, Volume(known_scan.array > 0, affine), np.uint8)
    clock = StepClock()
    with pytest.raises(ScanError, match="mL, expected 600 to 2200") as caught:
        prepare_scan(path, quick_config, mask_path, clock=clock)
    assert caught.value.kind == "brain-size"
    assert caught.value.where == str(path)
    assert clock.current == "brain-extraction"


def test_one_absurdly_bright_voxel_changes_little(
    known_scan: Volume, quick_config: PreprocessConfig, prepared: Prepared, tmp_path: Path
) -> None:
    array = known_scan.array.copy()
    array[28, 28, 28] = 1e30
    path = tmp_path / "bright.nii.gz"
    write_volume(path, Volume(array, known_scan.affine))
    again = prepare_scan(path, quick_config)
    assert any("cut" in note for note in again.notes)
    assert dice(again.tissue.array == 3, prepared.tissue.array == 3) > 0.95
