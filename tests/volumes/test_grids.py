"""The template grid at every spacing tiles the model's box."""

from __future__ import annotations

import numpy as np
import pytest

from neurofm.errors import ConfigError
from neurofm.volumes.grids import MODEL_BOX, model_box, model_shape, template_grid


def test_at_one_mm_the_grid_is_the_published_one() -> None:
    grid = template_grid()
    assert grid.shape == (193, 229, 193)
    assert np.array_equal(grid.affine @ [0, 0, 0, 1], [-96, -132, -78, 1])
    assert model_box() == (slice(1, 193), slice(19, 211), slice(10, 160))
    assert model_shape(1) == (150, 192, 192)


@pytest.mark.parametrize("spacing_mm", [1.5, 2, 3, 6])
def test_a_coarser_grid_puts_the_boxs_edges_at_the_same_place(spacing_mm: float) -> None:
    fine, coarse = template_grid(), template_grid(spacing_mm)
    for axis, part in enumerate(model_box(spacing_mm)):
        assert part.stop <= coarse.shape[axis]
        for fine_edge, coarse_edge in zip(MODEL_BOX[axis], (part.start, part.stop), strict=True):
            fine_mm = fine.affine[axis, 3] + (fine_edge - 0.5)
            coarse_mm = coarse.affine[axis, 3] + (coarse_edge - 0.5) * spacing_mm
            assert coarse_mm == pytest.approx(fine_mm)
    z, y, x = model_shape(spacing_mm)
    assert (x, y, z) == tuple(part.stop - part.start for part in model_box(spacing_mm))


def test_a_spacing_that_cuts_voxels_is_refused() -> None:
    with pytest.raises(ConfigError, match="whole voxels"):
        model_shape(2.5)
