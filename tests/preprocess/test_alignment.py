from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from neurofm.config import PreprocessConfig
from neurofm.preprocess.alignment import align
from neurofm.preprocess.registration import register_by_shape
from neurofm.preprocess.template_space import coarse_template
from neurofm.volumes.volume import Volume

CONFIG = PreprocessConfig(spacing_mm=6.0, registration_spacing_mm=4.0)


def whole(scan: Volume) -> Volume:
    return Volume((np.asarray(scan.array) > 0).astype(np.float32), scan.affine)


def degrees_between(first: np.ndarray, second: np.ndarray) -> float:
    turn = Rotation.from_matrix(first[:3, :3] @ second[:3, :3].T)
    return float(np.degrees(np.linalg.norm(turn.as_rotvec())))


def test_a_scan_that_looks_right_keeps_its_rigid_registration(
    known_scan: Volume, registered: np.ndarray
) -> None:
    assert np.array_equal(align(known_scan, whole(known_scan), CONFIG), registered)


def test_registration_by_shape_turns_a_small_head_right(
    known_scan: Volume, to_template: np.ndarray
) -> None:
    small = Volume(known_scan.array, np.diag([0.85, 0.85, 0.85, 1]) @ known_scan.affine)
    found = register_by_shape(small, coarse_template("nilearn", 4.0))
    assert degrees_between(found, to_template) < 2
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-9)
    # The brain's centre comes to lie where that of the large head does.
    centre = np.append(np.argwhere(np.asarray(known_scan.array) > 0).mean(axis=0), 1)
    offset = found @ small.affine @ centre - to_template @ known_scan.affine @ centre
    assert np.linalg.norm(offset[:3]) < 4


def test_an_image_that_is_nowhere_like_the_template_still_gets_a_matrix(
    known_scan: Volume,
) -> None:
    upside_down = Volume(np.asarray(known_scan.array)[:, :, ::-1], known_scan.affine)
    found = align(upside_down, whole(upside_down), CONFIG)
    assert np.linalg.det(found[:3, :3]) > 0
