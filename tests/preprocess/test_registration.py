from __future__ import annotations

from pathlib import Path

import numpy as np

from neurofm.preprocess.ants_images import ants_module, ras_matrix, to_ants
from neurofm.preprocess.itk_transform import itk_text
from neurofm.preprocess.registration import register
from neurofm.preprocess.template_space import coarse_template
from neurofm.volumes.volume import Volume

CORNERS = np.array([[x, y, z, 1] for x in (-50, 50) for y in (-80, 50) for z in (-40, 60)]).T


def test_a_known_tilt_is_found_to_within_two_millimetres(
    registered: np.ndarray, to_template: np.ndarray
) -> None:
    error = (registered @ np.linalg.inv(to_template) - np.eye(4)) @ CORNERS
    assert np.linalg.norm(error[:3], axis=0).max() < 2.0
    turn = registered[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-4)


def test_the_same_scan_gives_the_same_matrix(known_scan: Volume, registered: np.ndarray) -> None:
    again = register(known_scan, coarse_template("nilearn", 4.0), "rigid")
    assert np.array_equal(again, registered)


def test_an_affine_registration_finds_a_larger_head(known_scan: Volume) -> None:
    larger = Volume(known_scan.array, np.diag([1.1, 1.1, 1.1, 1]) @ known_scan.affine)
    found = register(larger, coarse_template("nilearn", 4.0), "affine")
    assert abs(np.linalg.det(found[:3, :3]) ** (1 / 3) - 1 / 1.1) < 0.02


def test_voxels_go_to_ants_in_lps_at_the_same_place(known_scan: Volume) -> None:
    image = to_ants(known_scan)
    place = known_scan.affine @ np.array([10, 20, 30, 1])
    at = ants_module().transform_index_to_physical_point(image, (10, 20, 30))
    np.testing.assert_allclose(at, place[:3] * (-1, -1, 1), atol=1e-3)


def test_the_written_transform_is_the_one_ants_reads(
    to_template: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "xfm.txt"
    path.write_text(itk_text(to_template), encoding="utf-8")
    read = ras_matrix(ants_module().read_transform(str(path)))
    np.testing.assert_allclose(np.linalg.inv(read), to_template, atol=1e-6)
