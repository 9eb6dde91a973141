"""The guesses that a reconstruction is compared with, against plain loops."""

from __future__ import annotations

import pytest
import torch

from neurofm.models.patches import patchify
from neurofm.objectives.masking import Masking, draw_masking
from neurofm.objectives.simple_predictors import from_mean_image, nearest_visible

_SIDES, _GRID = (5, 4, 2), (3, 2, 4)
_VOXELS = 5 * 4 * 2


def _volumes(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = [side * many for side, many in zip(_SIDES, _GRID, strict=True)]
    return torch.randn(count, 1, *shape, generator=generator)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.95])
def test_each_masked_patch_is_the_visible_one_whose_centre_is_nearest(ratio: float) -> None:
    patches = patchify(_volumes(), _SIDES)
    masking = draw_masking(("a", "b", "c"), 24, ratio, seed=0, step=0)
    copied = nearest_visible(patches, masking, _SIDES, _GRID)
    for row in range(3):
        for place, number in enumerate(masking.masked[row].tolist()):
            best, least = -1, float("inf")
            for other in masking.kept[row].tolist():
                apart = [
                    (a - b) * side
                    for a, b, side in zip(_place(number), _place(other), _SIDES, strict=True)
                ]
                distance = sum(each**2 for each in apart)
                if distance < least:  # the first of several stays
                    best, least = other, distance
            assert torch.equal(copied[row, place], patches[row, best])


def test_of_patches_equally_near_the_first_is_copied() -> None:
    patches = patchify(_volumes(1), _SIDES)
    masking = Masking(torch.tensor([[0, 2]]), torch.tensor([[1, *range(3, 24)]]))
    assert torch.equal(nearest_visible(patches, masking, _SIDES, _GRID)[0, 0], patches[0, 0])


def test_a_volume_of_one_value_is_copied_without_error() -> None:
    patches = torch.full((2, 24, _VOXELS), 1.5)
    masking = draw_masking(("a", "b"), 24, 0.75, seed=0, step=0)
    assert (nearest_visible(patches, masking, _SIDES, _GRID) == 1.5).all()


def test_the_mean_image_answers_with_its_patches_at_the_same_places() -> None:
    mean = _volumes(1)
    masking = draw_masking(("a", "b"), 24, 0.75, seed=0, step=0)
    guessed, patches = from_mean_image(mean, masking, _SIDES), patchify(mean, _SIDES)
    assert guessed.shape == (2, 18, _VOXELS)
    for row in range(2):
        for place, number in enumerate(masking.masked[row].tolist()):
            assert torch.equal(guessed[row, place], patches[0, number])


def _place(number: int) -> tuple[int, int, int]:
    return number // 8, number // 4 % 2, number % 4
