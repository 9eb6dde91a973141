from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neurofm.preprocess.likeness import dice
from neurofm.preprocess.quality import judge
from neurofm.preprocess.resampling import resample
from neurofm.preprocess.template_space import TemplateSpace, template_space
from neurofm.volumes.grids import template_grid
from neurofm.volumes.template import packaged_template


@pytest.fixture(scope="module")
def space() -> TemplateSpace:
    return template_space("nilearn", 3.0)


def moved(
    degrees: tuple[float, float, float] = (0, 0, 0), shift_mm: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The template and its tissue as a registration would leave them that is wrong by so much."""
    wrong = np.eye(4)
    wrong[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    wrong[1, 3] = shift_mm
    grid = template_grid(3.0)
    image = resample(packaged_template("t1"), grid, wrong)
    labels = [resample(packaged_template(name), grid, wrong) for name in ("gm", "wm")]
    brain = image > 0.1 * image.max()
    tissue = np.where(brain, 1 + np.argmax([1 - sum(labels), *labels], axis=0), 0)
    return image, tissue.astype(np.uint8)


def test_the_template_itself_passes(space: TemplateSpace) -> None:
    quality = judge(*moved(), np.eye(4), space)
    assert quality.verdict == "pass"
    assert quality.correlation > 0.99
    assert quality.overlap > 0.97
    assert quality.rotation_degrees < 1e-3
    assert quality.brain_ml == pytest.approx(quality.csf_ml + quality.gm_ml + quality.wm_ml)


@pytest.mark.parametrize(
    "degrees", [(90, 0, 0), (0, 90, 0), (0, 0, 90), (180, 0, 0), (0, 0, 180), (0, 60, 0)]
)
def test_a_brain_left_turned_fails(
    degrees: tuple[float, float, float], space: TemplateSpace
) -> None:
    assert judge(*moved(degrees), np.eye(4), space).verdict == "fail"


def test_a_brain_left_beside_the_template_fails(space: TemplateSpace) -> None:
    assert judge(*moved(shift_mm=40), np.eye(4), space).verdict == "fail"


def test_a_doubtful_result_says_why(space: TemplateSpace) -> None:
    image, tissue = moved()
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("x", 40, degrees=True).as_matrix()
    quality = judge(image, tissue, turned, space)
    assert quality.verdict == "look"
    assert quality.reasons == ("a rotation of 40 degrees",)


def test_volumes_are_those_of_the_scan_not_of_the_stretched_result(space: TemplateSpace) -> None:
    image, tissue = moved()
    plain = judge(image, tissue, np.eye(4), space)
    stretched = judge(image, tissue, np.diag([1.1, 1.1, 1.1, 1]), space)
    assert stretched.scale == pytest.approx(1.1)
    assert stretched.brain_ml == pytest.approx(plain.brain_ml / 1.1**3, rel=1e-3)


def test_dice_is_twice_the_common_voxels_over_all_voxels() -> None:
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(first, second) == pytest.approx(4 / 6)
    assert dice(first, first) == 1
    assert dice(np.zeros(3, bool), np.zeros(3, bool)) == 0
