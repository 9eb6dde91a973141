"""Real scans of the four sites through every step, where this machine has them."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from neurofm.config import PreprocessConfig
from neurofm.preprocess.brain_extraction import find_brain
from neurofm.preprocess.likeness import dice
from neurofm.preprocess.pipeline import prepare_scan
from neurofm.volumes.nifti import read_labels, read_volume, write_volume
from neurofm.volumes.volume import Volume

pytestmark = pytest.mark.slow

SCANS = {
    "ds000011/sub-01/anat/sub-01_T1w.nii.gz": "deepbet",
    "ds002748/sub-02/anat/sub-02_T1w.nii.gz": "already-stripped",
    "studyforrest/sub-02_T1w.nii.gz": "deepbet",
}


@pytest.mark.parametrize("name", SCANS)
def test_a_real_scan_passes(name: str, shared: Path) -> None:
    prepared = prepare_scan(shared / "scans" / name, PreprocessConfig(spacing_mm=3.0))
    assert prepared.brain_source == SCANS[name]
    assert prepared.quality.verdict == "pass"
    assert sum(prepared.seconds.values()) < 120


def test_a_defaced_head_keeps_its_brain(shared: Path, tmp_path: Path) -> None:
    """Case 67."""
    path = shared / "scans" / next(iter(SCANS))
    whole = read_volume(path).volume
    mask = np.asarray(find_brain(whole).mask.array)
    occupied = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    front, low = int(occupied[1].max()) - 10, int(np.median(occupied[2]))
    defaced = np.array(whole.array)
    defaced[:, front + 12 :, :] = 0
    defaced[:, int(np.median(occupied[1])) + 20 :, :low] *= mask[
        :, int(np.median(occupied[1])) + 20 :, :low
    ]
    write_volume(tmp_path / "defaced.nii.gz", Volume(defaced, whole.affine))
    prepared = prepare_scan(tmp_path / "defaced.nii.gz", PreprocessConfig(spacing_mm=3.0))
    assert prepared.brain_source == "deepbet"
    assert prepared.quality.verdict == "pass"
    before = prepare_scan(path, PreprocessConfig(spacing_mm=3.0))
    assert dice(
        np.asarray(prepared.brain_mask.array), np.asarray(before.brain_mask.array)
    ) == pytest.approx(1, abs=0.03)


ORIENTATIONS = [
    tuple(letters)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((0, 1), repeat=3)
    for letters in [
        [("LR", "PA", "IS")[axis][sign] for axis, sign in zip(order, signs, strict=True)]
    ]
]


def test_a_real_head_gives_one_array_however_its_axes_are_stored(
    shared: Path, tmp_path: Path
) -> None:
    """Case 45."""
    path = shared / "scans" / "ixi10" / "T1" / "IXI012-HH-1211-T1.nii.gz"
    image = nib.load(path)
    image = nib.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32), image.affine)
    expected = read_volume(path).volume
    assert len(set(ORIENTATIONS)) == 48
    for codes in ORIENTATIONS:
        turned = image.as_reoriented(
            nib.orientations.ornt_transform(
                nib.orientations.io_orientation(image.affine),
                nib.orientations.axcodes2ornt(codes),
            )
        )
        assert nib.aff2axcodes(turned.affine) == codes
        nib.save(turned, tmp_path / "turned.nii")
        volume = read_volume(tmp_path / "turned.nii").volume
        assert np.array_equal(volume.array, expected.array)
        np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-3)


@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIL", "RSA"])
def test_a_real_head_gives_one_result_however_its_axes_are_stored(
    codes: str, shared: Path, tmp_path: Path
) -> None:
    """Case 45."""
    path = shared / "scans" / next(iter(SCANS))
    config = PreprocessConfig(spacing_mm=2.0)
    image = nib.load(path)
    turned = nib.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32), image.affine)
    turned = turned.as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes)
        )
    )
    nib.save(turned, tmp_path / "turned.nii.gz")
    results = [prepare_scan(each, config) for each in (path, tmp_path / "turned.nii.gz")]
    one, other = (np.asarray(result.image.array) for result in results)
    inside = np.asarray(results[0].brain_mask.array)
    np.testing.assert_array_equal(one, other)
    assert np.corrcoef(one[inside], other[::-1][inside])[0, 1] < 0.99


def test_mask_and_white_matter_agree_with_a_reference_segmentation(shared: Path) -> None:
    folder, name = shared / "scans" / "ixi10", "IXI034-HH-1260-T1"
    prepared = prepare_scan(folder / "T1" / f"{name}.nii.gz", PreprocessConfig())
    labels = read_labels(folder / "dlmuse" / f"{name}_DLMUSE.nii.gz")
    matrix = np.linalg.inv(prepared.transform @ labels.affine) @ prepared.image.affine
    moved = ndimage.affine_transform(
        labels.array, matrix[:3, :3], matrix[:3, 3], prepared.image.shape, order=0
    )
    white = np.isin(moved, [40, 41, 61, 62, *range(81, 96)])
    assert dice(np.asarray(prepared.brain_mask.array, dtype=bool), moved > 0) > 0.97
    assert dice(prepared.tissue.array == 3, white) > 0.75
