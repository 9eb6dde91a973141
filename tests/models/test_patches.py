"""Patches: cutting and joining, and the fixed positions."""

from __future__ import annotations

import math

import pytest
import torch

from neurofm.config.encoders import ViTConfig
from neurofm.errors import ConfigError
from neurofm.models.patches import patchify, sinusoidal_positions, token_grid, unpatchify


def test_cutting_and_joining_undo_each_other_voxel_by_voxel() -> None:
    images = torch.randn(2, 1, 50, 48, 32, generator=torch.Generator().manual_seed(0))
    patches = patchify(images, (25, 16, 16))
    assert torch.equal(unpatchify(patches, (25, 16, 16), (2, 3, 2)), images)
    assert torch.equal(
        patchify(unpatchify(patches, (25, 16, 16), (2, 3, 2)), (25, 16, 16)), patches
    )


def test_a_patch_holds_the_voxels_of_its_box_in_order() -> None:
    images = torch.arange(2 * 6 * 4 * 6).reshape(2, 1, 6, 4, 6)
    patches = patchify(images, (3, 2, 2))
    number = 0
    for z in range(2):
        for y in range(2):
            for x in range(3):
                box = images[1, 0, 3 * z : 3 * z + 3, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                assert torch.equal(patches[1, number], box.flatten())
                number += 1


def test_the_papers_volume_has_864_patches() -> None:
    grid = token_grid(ViTConfig(), (150, 192, 192))
    assert grid == (6, 12, 12)
    assert math.prod(grid) == 864


def test_a_side_that_does_not_divide_is_refused_with_the_nearest_that_do() -> None:
    with pytest.raises(ConfigError) as told:
        token_grid(ViTConfig(patch_voxels=(16, 16, 16)), (150, 192, 192))
    assert "16 voxels does not divide the 150 voxels along z" in str(told.value)
    assert "the nearest that do are 15 and 25" in str(told.value)


def test_positions_equal_a_slow_loop_over_axes_and_waves() -> None:
    width, grid = 20, (2, 3, 4)
    table = sinusoidal_positions(width, grid, grid)
    number = 0
    for z in range(2):
        for y in range(3):
            for x in range(4):
                row = []
                for place in (z, y, x):
                    angles = [place / 10_000 ** (wave / 3) for wave in range(3)]
                    row += [math.sin(each) for each in angles] + [math.cos(each) for each in angles]
                expected = torch.tensor([*row, 0.0, 0.0])
                assert torch.allclose(table[number], expected, atol=1e-6)
                number += 1


@pytest.mark.parametrize("width", [192, 768, 1024, 512])
def test_every_patch_has_a_position_of_its_own(width: int) -> None:
    table = sinusoidal_positions(width, (6, 12, 12), (6, 12, 12))
    assert table.shape == (864, width)
    assert len(torch.unique(table, dim=0)) == 864


def test_a_finer_grid_has_positions_between_those_of_the_trained_one() -> None:
    trained = sinusoidal_positions(12, (4, 1, 1), (4, 1, 1))
    finer = sinusoidal_positions(12, (12, 1, 1), (4, 1, 1))
    assert torch.allclose(finer[1::3], trained, atol=1e-6)
    slowest = finer[:, 1]  # the sine of the slowest wave along z rises all the way
    assert bool((slowest[1:] > slowest[:-1]).all())
