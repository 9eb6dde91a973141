from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neurofm.preprocess.registration import register
from neurofm.preprocess.starting_pose import _mutual_information, starting_pose
from neurofm.preprocess.template_space import coarse_template
from neurofm.volumes.volume import Volume

CORNERS = np.array([[x, y, z, 1] for x in (-50, 50) for y in (-80, 50) for z in (-40, 60)]).T


def turned(scan: Volume, degrees: tuple[float, float, float]) -> tuple[Volume, np.ndarray]:
    """The scan as if the head lay turned in the scanner, and the matrix that turned it."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    turn[:3, 3] = (60, -40, 25)
    return Volume(scan.array, turn @ scan.affine), turn


def farthest_corner_mm(found: np.ndarray, truth: np.ndarray) -> float:
    error = (found @ np.linalg.inv(truth) - np.eye(4)) @ CORNERS
    return float(np.linalg.norm(error[:3], axis=0).max())


@pytest.mark.parametrize("degrees", [(0, 0, 0), (30, 0, 0), (-35, 20, 15), (0, -30, 40)])
def test_a_turned_head_is_found_to_within_some_millimetres(
    degrees: tuple[float, float, float], known_scan: Volume, to_template: np.ndarray
) -> None:
    scan, turn = turned(known_scan, degrees)
    found = starting_pose(scan, coarse_template("nilearn", 4.0))
    assert farthest_corner_mm(found, to_template @ np.linalg.inv(turn)) < 8
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1)


def test_registration_of_a_turned_head_ends_where_that_of_a_straight_one_does(
    known_scan: Volume, to_template: np.ndarray
) -> None:
    scan, turn = turned(known_scan, (-35, 20, 15))
    found = register(scan, coarse_template("nilearn", 4.0), "rigid")
    assert farthest_corner_mm(found, to_template @ np.linalg.inv(turn)) < 2


def test_the_same_scan_starts_from_the_same_matrix(known_scan: Volume) -> None:
    template = coarse_template("nilearn", 4.0)
    assert np.array_equal(starting_pose(known_scan, template), starting_pose(known_scan, template))


def test_mutual_information_is_the_sum_over_all_pairs_of_bins() -> None:
    joint = np.random.default_rng(0).integers(0, 9, (5, 5)).astype(float)
    share = joint / joint.sum()
    slow = 0.0
    for i in range(5):
        for j in range(5):
            if share[i, j]:
                slow += share[i, j] * np.log(share[i, j] / (share[i].sum() * share[:, j].sum()))
    assert _mutual_information(joint) == pytest.approx(slow)
    assert _mutual_information(np.ones((4, 4))) == pytest.approx(0, abs=1e-12)
