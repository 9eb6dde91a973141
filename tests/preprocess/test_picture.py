from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from neurofm.config import PreprocessConfig
from neurofm.preprocess.contract import contract_of
from neurofm.preprocess.naming import output_names
from neurofm.preprocess.outputs import Plan, write_outputs
from neurofm.preprocess.picture import draw_check, thumbnail
from neurofm.preprocess.pipeline import prepare_scan
from neurofm.preprocess.template_space import template_space

Template = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]
RED, BLUE = (255, 70, 55), (40, 175, 240)
# The first row of tiles: five axial slices, 192 pixels square, under the caption.
AXIAL_TOP, CELL = 26, 192


@pytest.fixture(scope="module")
def template() -> Template:
    space = template_space("nilearn", 3.0)
    brain = np.asarray(space.brain.array, dtype=bool)
    tissue = np.where(brain, space.priors.argmax(axis=0) + 1, 0).astype(np.uint8)
    return np.asarray(space.image.array, dtype=np.float32), tissue, brain


def colours_of(png: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def are(colours: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray((colours == np.array(colour, np.uint8)).all(axis=-1))


def middle_axial(png: bytes) -> npt.NDArray[np.uint8]:
    return colours_of(png)[AXIAL_TOP : AXIAL_TOP + CELL, 2 * CELL : 3 * CELL]


def test_a_picture_is_small_and_the_same_each_time(template: Template) -> None:
    first, second = (draw_check(*template, "pass") for _ in range(2))
    assert first == second
    assert 20_000 < len(first) < 250_000
    assert colours_of(first).shape == (760, 960, 3)


def test_even_a_picture_of_noise_stays_below_a_quarter_of_a_megabyte(template: Template) -> None:
    _, tissue, brain = template
    noise = np.random.default_rng(0).normal(size=brain.shape).astype(np.float32)
    assert len(draw_check(noise, tissue, brain, "pass")) < 250_000


def test_left_is_on_the_left_and_front_is_at_the_top(template: Template) -> None:
    _, _, brain = template
    image = np.zeros(brain.shape, np.float32)
    middle = brain.shape[0] // 2
    image[:middle, brain.shape[1] // 2 :] = 1
    tile = middle_axial(draw_check(image, np.where(brain, 1, 0).astype(np.uint8), brain, ""))
    white = are(tile, (255, 255, 255))
    half = CELL // 2
    assert white[:half, :half].sum() > 1000
    assert white[half + 10 :].sum() + white[:, half + 5 :].sum() == 0


def test_the_mask_is_outlined_in_red_inside_the_templates_blue(template: Template) -> None:
    image, tissue, brain = template
    small = ndimage.binary_erosion(brain, iterations=3)
    tile = middle_axial(draw_check(image, np.where(small, tissue, 0).astype(np.uint8), brain, ""))
    middle_row_of_red = np.flatnonzero(are(tile, RED)[CELL // 2])
    middle_row_of_blue = np.flatnonzero(are(tile, BLUE)[CELL // 2])
    assert middle_row_of_blue.min() < middle_row_of_red.min()
    assert middle_row_of_red.max() < middle_row_of_blue.max()


def test_a_brain_far_from_the_template_is_shown_whole(template: Template) -> None:
    image, tissue, brain = template
    shifted = np.roll(tissue, 7, axis=0)
    colours = colours_of(draw_check(image, shifted, brain, "fail"))
    tile = colours[AXIAL_TOP + CELL : AXIAL_TOP + 2 * CELL, 2 * CELL : 3 * CELL]
    heights = tile.any(axis=-1)[20:].sum(axis=0)
    assert heights.max() > 100
    # Round at its right end, so not cut off there.
    assert heights[heights > 0][-1] < heights.max() / 2


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_empty_brain_can_be_drawn_too(value: float) -> None:
    empty = np.full((12, 14, 12), value, np.float32)
    nothing = np.zeros(empty.shape, np.uint8)
    png = draw_check(empty, nothing, nothing > 0, "fail: nothing found")
    assert colours_of(png).shape == (760, 960, 3)


def test_a_long_caption_is_shortened_and_any_letter_can_be_written(template: Template) -> None:
    long = colours_of(draw_check(*template, "a reason given at length, " * 20))
    assert long[:AXIAL_TOP, -6:].max() == 0
    assert colours_of(draw_check(*template, "größer als \n erwartet ☃")).shape == long.shape


def test_a_thumbnail_shows_three_planes_in_a_few_kilobytes(template: Template) -> None:
    small = thumbnail(draw_check(*template, "pass"))
    assert small is not None
    assert len(small) < 12_000
    with Image.open(io.BytesIO(small)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (240, 80))
        grey = np.asarray(picture.convert("L"))
    assert all(grey[:, place : place + 80].mean() > 30 for place in (0, 80, 160))


def test_there_is_no_thumbnail_of_another_or_a_damaged_picture(template: Template) -> None:
    png = draw_check(*template, "pass")
    other = io.BytesIO()
    Image.new("P", (960, 760)).save(other, "PNG")
    assert thumbnail(png) is not None
    assert thumbnail(other.getvalue()) is None
    assert thumbnail(png[: len(png) // 2]) is None
    assert thumbnail(b"no picture") is None


def test_a_picture_does_not_show_whose_it_is(
    scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    prepared = prepare_scan(scan_file, quick_config)
    plan = Plan(tmp_path, quick_config, contract_of(quick_config), "bids")
    row = {"cohort": "c", "session_id": None}
    people = [row | {"participant_id": who, "scan_id": f"c_{who}"} for who in ("anna", "bert")]
    names = output_names(pd.DataFrame(people))
    for name in names:
        write_outputs(plan, name, prepared, None)
    pictures = [(tmp_path / name.picture).read_bytes() for name in names]
    assert pictures[0] == pictures[1]
