"""Maps lie where they belong: on the template's grid, and on the raw scan's voxels."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neurofm.inference.map_spaces import on_scan, on_template, raw_grid
from neurofm.store.model_input import from_model_order, to_model_order
from neurofm.volumes.grids import Grid, model_shape, template_grid
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume


def blob(grid: Grid, centre_mm: tuple[float, float, float], sigma_mm: float = 8.0) -> np.ndarray:
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    places = voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    squared = ((places - np.array(centre_mm)) ** 2).sum(axis=-1)
    return np.exp(-squared / (2 * sigma_mm**2)).astype(np.float32)


def centre_of(volume: Volume) -> np.ndarray:
    weights = np.asarray(volume.array, dtype=np.float64)
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in volume.shape], indexing="ij"), axis=-1)
    mean = (voxels * weights[..., None]).sum(axis=(0, 1, 2)) / weights.sum()
    return np.asarray(volume.affine[:3, :3] @ mean + volume.affine[:3, 3])


def whole_brain(spacing_mm: float) -> Volume:
    grid = template_grid(spacing_mm)
    return Volume(np.ones(grid.shape, dtype=bool), grid.affine)


def test_a_map_at_1_mm_keeps_its_values_in_the_box() -> None:
    found = np.random.default_rng(0).normal(size=model_shape(1.0)).astype(np.float32)
    placed = on_template(found, 1.0, whole_brain(1.0))
    grid = template_grid(1.0)
    assert placed.shape == (193, 229, 193)
    np.testing.assert_array_equal(placed.affine, grid.affine)
    back, _ = to_model_order(Volume(placed.array, grid.affine), whole_brain(1.0), 1.0)
    np.testing.assert_allclose(back, found, rtol=1e-6)
    assert np.count_nonzero(placed.array) == found.size


@pytest.mark.parametrize("spacing_mm", [pytest.param(1.5, marks=pytest.mark.slow), 3.0, 6.0])
def test_a_coarse_map_stays_at_its_place(spacing_mm: float) -> None:
    box = from_model_order(np.zeros(model_shape(spacing_mm), dtype=np.float32), spacing_mm)
    centre = (30.0, -40.0, 20.0)  # right, back, up
    found = blob(Grid(box.shape, box.affine), centre, 12.0).transpose(2, 1, 0)
    placed = on_template(np.ascontiguousarray(found), spacing_mm, whole_brain(spacing_mm))
    np.testing.assert_allclose(centre_of(placed), centre, atol=0.6)


def test_outside_the_brain_a_map_is_0() -> None:
    grid = template_grid(3.0)
    mask = np.zeros(grid.shape, dtype=bool)
    mask[20:40, 20:50, 20:40] = True
    placed = on_template(np.ones(model_shape(6.0), np.float32), 6.0, Volume(mask, grid.affine))
    inside = placed.array > 0
    assert inside.sum() == pytest.approx(mask.sum() * 27, rel=1e-6)
    low = placed.affine[:3, 3] + np.argwhere(inside).min(axis=0) - 0.5
    np.testing.assert_allclose(low, grid.affine[:3, 3] + 3.0 * np.array([20, 20, 20]) - 1.5)


@pytest.mark.parametrize(
    "is_flipped",
    [pytest.param(False, marks=pytest.mark.slow, id="RAS"), pytest.param(True, id="LAS")],
)
def test_a_map_on_the_scan_agrees_through_the_transform(is_flipped: bool, tmp_path: Path) -> None:
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz", [8, -5, 12], degrees=True).as_matrix()
    turned[:3, 3] = (4.0, -11.0, 7.0)  # scan mm -> template mm
    affine = np.diag([-0.9 if is_flipped else 0.9, 1.1, 1.2, 1.0])
    affine[:3, 3] = (100.0 if is_flipped else -100.0, -130.0, -95.0)
    raw = Volume(np.zeros((222, 230, 170), dtype=np.float32), affine)
    write_volume(tmp_path / "raw.nii.gz", raw)
    grid = raw_grid(tmp_path / "raw.nii.gz", None)
    stored = nib.load(tmp_path / "raw.nii.gz")
    assert grid.shape == stored.shape
    np.testing.assert_allclose(grid.affine, stored.affine)

    right = (35.0, -20.0, 15.0)
    template = Volume(blob(template_grid(1.0), right), template_grid(1.0).affine)
    native = on_scan(template, turned, grid)
    write_volume(tmp_path / "map.nii.gz", native)
    written = nib.load(tmp_path / "map.nii.gz")
    assert written.shape == stored.shape
    np.testing.assert_allclose(written.affine, stored.affine, atol=1e-5)
    back = turned @ np.append(centre_of(native), 1)
    np.testing.assert_allclose(back[:3], right, atol=0.2)
    # left and right: in the file's own voxels, half way along the first axis is the middle
    expected = np.linalg.inv(turned @ affine) @ np.append(right, 1)
    peak = np.unravel_index(int(np.argmax(written.get_fdata())), written.shape)
    np.testing.assert_allclose(peak, expected[:3], atol=1.0)
    assert (peak[0] < 111) == is_flipped
