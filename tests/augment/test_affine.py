"""Affine maps equal MONAI's and the plain formula, by torch and compiled."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from neurofm.augment.affine import AffineDraw, draw_affine, move_affinely
from neurofm.augment.cpu_affine import move_volume, padding_number
from neurofm.config.affine import AffineConfig
from neurofm.seeds import random_stream

ALWAYS = AffineConfig(probability=1.0)
PADDINGS = ("reflection", "border", "zeros")
STILL = AffineDraw((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
Volume = tuple[Tensor, Tensor]


def drawn(number: int, config: AffineConfig = ALWAYS, spacing_mm: float = 1.0) -> AffineDraw:
    draw = draw_affine(random_stream("test affine", number), config, spacing_mm)
    assert draw is not None
    return draw


def by_monai(image: Tensor, mask: Tensor, draw: AffineDraw) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised by MONAI while it is imported
        from monai.transforms import Affine
    numbers = {
        "rotate_params": draw.rotation_radians,
        "translate_params": draw.translation_voxels,
        "scale_params": draw.scale,
        "padding_mode": draw.padding,
        "image_only": True,
    }
    moved = Affine(mode="bilinear", **numbers)(image[0])
    inside = Affine(mode="nearest", **numbers)(mask[0].float())
    return torch.as_tensor(moved)[None], torch.as_tensor(inside)[None] > 0.5


def compiled(image: Tensor, mask: Tensor, draw: AffineDraw) -> Volume:
    shape = tuple(image.shape[2:])
    flat, inside = image.numpy().reshape(shape[0], -1), mask.numpy().view(np.uint8)
    moved, moved_inside = np.empty_like(flat), np.empty(flat.shape, np.uint8)
    spans = np.empty((shape[0], 2), np.int64)
    count, lowest, highest = move_volume(
        (flat, inside.reshape(flat.shape)),
        shape,
        (draw.matrix(), padding_number(draw.padding)),
        (moved, moved_inside, spans),
    )
    assert count == moved_inside.sum()
    assert (lowest, highest) == (moved.min(), moved.max())
    for row, (first, end) in zip(moved_inside, spans, strict=True):
        assert not row[:first].any()
        assert not row[end:].any()
    return torch.from_numpy(moved).view_as(image), torch.from_numpy(moved_inside > 0).view_as(mask)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("number", range(4))
def test_an_affine_map_equals_monais(number, padding, small):
    draw = replace(drawn(number), padding=padding)
    ours, theirs = move_affinely(*small, draw), by_monai(*small, draw)
    assert torch.equal(ours[1], theirs[1])
    assert (ours[0] - theirs[0]).abs().max() < 2e-4


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("number", range(4))
def test_a_compiled_affine_map_equals_torchs(number, padding, small):
    draw = replace(drawn(number), padding=padding)
    ours, theirs = compiled(*small, draw), move_affinely(*small, draw)
    assert torch.equal(ours[1], theirs[1])
    assert (ours[0] - theirs[0]).abs().max() < 2e-4


@pytest.mark.parametrize("way", [move_affinely, compiled])
def test_an_affine_map_is_the_plain_formula(way):
    shape = (7, 10, 13)
    image = torch.from_numpy(np.random.default_rng(0).random((1, 1, *shape), dtype=np.float32))
    draw = replace(drawn(1), padding="border")
    middle = (np.asarray(shape) - 1) / 2
    matrix = draw.matrix()
    places = np.moveaxis(np.indices(shape), 0, -1) - middle
    places = places @ matrix[:, :3].T + matrix[:, 3] + middle
    places = np.moveaxis(np.clip(places, 0, np.asarray(shape) - 1), -1, 0)
    moved, inside = way(image, image > 0.5, draw)
    expected = map_coordinates(image[0, 0].numpy().astype(np.float64), places, order=1)
    nearest = tuple(np.rint(place).astype(int) for place in places)
    assert np.abs(moved[0, 0].numpy() - expected).max() < 1e-5
    assert np.array_equal(inside[0, 0].numpy(), (image > 0.5)[0, 0].numpy()[nearest])


@pytest.mark.parametrize("way", [move_affinely, compiled])
@pytest.mark.parametrize("padding", PADDINGS)
def test_a_map_far_beyond_the_border_is_padded_as_asked(way, padding):
    image = torch.arange(4.0).view(1, 1, 4, 1, 1) + 1
    draw = replace(STILL, translation_voxels=(6.0, 0.0, 0.0), padding=padding)
    moved, inside = way(image, image > 2.5, draw)
    expected = {"reflection": [2.0, 1.0, 1.0, 2.0], "border": [4.0] * 4, "zeros": [0.0] * 4}
    assert moved.flatten().tolist() == expected[padding]
    assert inside.flatten().tolist() == [value > 2.5 for value in expected[padding]]


@pytest.mark.parametrize("way", [move_affinely, compiled])
def test_nothing_drawn_moves_nothing(way, small):
    moved, inside = way(*small, STILL)
    assert torch.equal(inside, small[1])
    assert torch.allclose(moved, small[0], atol=1e-4)


def test_a_positive_translation_moves_towards_the_first_voxel_and_a_scale_above_1_shrinks():
    image = torch.zeros(1, 1, 9, 9, 9)
    image[0, 0, 6, 4, 4] = 1
    moved, _ = move_affinely(image, image > 0, replace(STILL, translation_voxels=(2.0, 0.0, 0.0)))
    assert moved[0, 0, 4, 4, 4] == pytest.approx(1, abs=1e-5)
    moved, _ = move_affinely(image, image > 0, replace(STILL, scale=(2.0, 1.0, 1.0)))
    assert moved[0, 0, 5, 4, 4] == pytest.approx(1, abs=1e-5)


def test_ranges_are_those_asked_for_and_the_translation_is_in_mm():
    draws = [drawn(number, spacing_mm=2.0) for number in range(2000)]
    for values, low, high in (
        ([d.rotation_radians for d in draws], -0.1, 0.1),
        ([d.scale for d in draws], 0.85, 1.15),
        ([d.translation_voxels for d in draws], -2.5, 2.5),
    ):
        assert np.allclose(np.min(values, axis=0), low, atol=0.02 * (high - low))
        assert np.allclose(np.max(values, axis=0), high, atol=0.02 * (high - low))


def test_the_probability_changes_no_other_number():
    config = AffineConfig(probability=0.7)
    streams = [random_stream("test affine", number) for number in range(1000)]
    found = [draw_affine(stream, config, 1.0) for stream in streams]
    assert sum(draw is not None for draw in found) / 1000 == pytest.approx(0.7, abs=0.04)
    assert all(draw in {None, drawn(number)} for number, draw in enumerate(found))
