from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neurofm.preprocess.likeness import dice
from neurofm.preprocess.quality import judge
from neurofm.preprocess.resampling import resample
from neurofm.preprocess.template_space import TemplateSpace, template_space
from neurofm.volumes.grids import Grid, template_grid
from neurofm.volumes.template import packaged_template

CENTRE = np.array([0.0, -18.0, 10.0])


@pytest.fixture(scope="module")
def space() -> TemplateSpace:
    return template_space("nilearn", 3.0)


def moved(
    degrees: tuple[float, float, float] = (0, 0, 0), shift_mm: float = 0, size: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The template and its tissue as a registration would leave them that is wrong by so much."""
    wrong = np.eye(4)
    wrong[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * size
    wrong[:3, 3] = CENTRE - wrong[:3, :3] @ CENTRE
    wrong[1, 3] += shift_mm
    grid = template_grid(3.0)
    image = resample(packaged_template("t1"), grid, wrong)
    labels = [resample(packaged_template(name), grid, wrong) for name in ("gm", "wm")]
    brain = image > 0.1 * image.max()
    tissue = np.where(brain, 1 + np.argmax([1 - sum(labels), *labels], axis=0), 0)
    return image * brain, tissue.astype(np.uint8)


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


@pytest.mark.parametrize("size", [0.84, 0.92, 1])
def test_a_small_or_large_head_is_no_reason_to_look(size: float, space: TemplateSpace) -> None:
    quality = judge(*moved(size=size), np.eye(4), space)
    assert quality.verdict == "pass"
    assert quality.correlation > 0.95
    assert quality.overlap <= quality.shape_overlap


@pytest.mark.parametrize("shift_mm", [-30, 30])
def test_a_brain_thirty_millimetres_aside_is_seen(shift_mm: float, space: TemplateSpace) -> None:
    assert judge(*moved(shift_mm=shift_mm), np.eye(4), space).verdict != "pass"


@pytest.mark.parametrize("axis", [1, 2])
def test_a_mirrored_brain_fails_but_not_one_mirrored_left_to_right(
    axis: int, space: TemplateSpace
) -> None:
    image, tissue = moved()
    flipped = judge(np.flip(image, axis), np.flip(tissue, axis), np.eye(4), space)
    assert flipped.verdict == "fail"
    # The template is symmetric: nothing can be seen.
    mirrored = judge(image[::-1], tissue[::-1], np.eye(4), space)
    assert mirrored.verdict == "pass"


def test_another_contrast_is_seen(space: TemplateSpace) -> None:
    image, tissue = moved()
    inverted = np.where(tissue > 0, image.max() - image, 0)
    quality = judge(inverted, tissue, np.eye(4), space)
    assert quality.white_over_grey < 1
    assert quality.verdict == "fail"


def test_noise_instead_of_a_brain_is_seen(space: TemplateSpace) -> None:
    _, tissue = moved()
    noise = np.random.default_rng(0).random(tissue.shape).astype(np.float32)
    quality = judge(np.where(tissue > 0, noise, 0), tissue, np.eye(4), space)
    assert quality.inner_correlation < 0.2
    assert quality.verdict == "fail"


def test_a_brain_buried_in_noise_is_seen(space: TemplateSpace) -> None:
    image, tissue = moved()
    noise = np.random.default_rng(0).normal(0, 0.5 * image.max(), image.shape)
    buried = np.where(tissue > 0, np.abs(image + noise), 0).astype(np.float32)
    quality = judge(buried, tissue, np.eye(4), space)
    assert quality.contrast_to_noise < 3 < judge(image, tissue, np.eye(4), space).contrast_to_noise
    assert quality.verdict != "pass"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_a_brain_is_seen(axis: int, space: TemplateSpace) -> None:
    image, tissue = moved()
    half = np.moveaxis(tissue.copy(), axis, 0)
    half[half.shape[0] // 2 :] = 0
    half = np.moveaxis(half, 0, axis)
    quality = judge(np.where(half > 0, image, 0), half, np.eye(4), space)
    assert quality.verdict != "pass"
    if axis == 0:
        assert quality.left_share > 0.9


def test_coverage_is_the_share_of_the_template_that_the_scan_reaches(space: TemplateSpace) -> None:
    image, tissue = moved()
    whole = template_grid(3.0)
    brain = np.argwhere(space.brain.array)[:, 2]
    cut = int(np.quantile(brain, 0.25))
    upper = whole.affine.copy()
    upper[:3, 3] += upper[:3, 2] * cut
    seen = Grid((*whole.shape[:2], whole.shape[2] - cut), upper)
    assert judge(image, tissue, np.eye(4), space, whole).coverage == 1
    quality = judge(image, tissue, np.eye(4), space, seen)
    assert quality.coverage == pytest.approx((brain >= cut).mean(), abs=0.01)
    assert quality.verdict == "look"


def test_an_empty_result_fails_with_finite_numbers(space: TemplateSpace) -> None:
    image, tissue = moved()
    quality = judge(image * 0, tissue * 0, np.eye(4), space)
    assert quality.verdict == "fail"
    assert all(np.isfinite(value) for value in asdict(quality).values() if isinstance(value, float))


def test_dice_is_twice_the_common_voxels_over_all_voxels() -> None:
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(first, second) == pytest.approx(4 / 6)
    assert dice(first, first) == 1
    assert dice(np.zeros(3, bool), np.zeros(3, bool)) == 0


def with_dark_balls(image: np.ndarray, centres_mm: list[tuple[float, ...]]) -> np.ndarray:
    """The image with balls of 25 mm radius, 65 mL, as dark as fluid."""
    affine = template_grid(3.0).affine
    places = np.moveaxis(np.indices(image.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    for centre in centres_mm:
        inside = np.linalg.norm(places - np.array(centre), axis=-1) < 25
        image = np.where(inside & (image > 0), 0.15 * image.max(), image)
    return image.astype(np.float32)


def test_a_stroke_on_one_side_is_left_out_of_the_comparison(space: TemplateSpace) -> None:
    image, tissue = moved()
    right, left = (38.0, -20.0, 20.0), (-38.0, -20.0, 20.0)
    one = judge(with_dark_balls(image, [right]), tissue, np.eye(4), space)
    both = judge(with_dark_balls(image, [right, left]), tissue, np.eye(4), space)
    assert one.verdict == "pass"
    assert one.inner_correlation > 0.95 > both.inner_correlation
    assert one.correlation > 0.95 > both.correlation


def test_a_turned_brain_with_a_stroke_is_seen(space: TemplateSpace) -> None:
    image, tissue = moved((15, 0, 0))
    dark = with_dark_balls(image, [(38.0, -20.0, 20.0)])
    assert judge(dark, tissue, np.eye(4), space).verdict != "pass"


def test_a_dark_half_is_no_lesion(space: TemplateSpace) -> None:
    image, tissue = moved()
    dark = image.copy()
    dark[: len(dark) // 2] *= 0.3
    quality = judge(dark, tissue, np.eye(4), space)
    assert quality.correlation < judge(image, tissue, np.eye(4), space).correlation - 0.2
    assert quality.verdict != "pass"
