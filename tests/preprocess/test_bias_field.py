from __future__ import annotations

import numpy as np

from neurofm.preprocess.bias_field import correct_bias
from neurofm.preprocess.resampling import resample
from neurofm.volumes.grids import template_grid
from neurofm.volumes.template import packaged_template
from neurofm.volumes.volume import Volume


def test_a_known_bias_field_is_divided_out() -> None:
    grid = template_grid(3.0)
    clean = 500 * resample(packaged_template("t1"), grid, np.eye(4))
    inside = clean > 50
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    log_field = 0.4 * x - 0.3 * y * z
    mask = Volume(inside.astype(np.float32), grid.affine)
    shaded = Volume((clean * np.exp(log_field)).astype(np.float32), grid.affine)

    estimates = [
        np.log(scan.array[inside] / correct_bias(scan, mask, 6.0, 2).array[inside])
        for scan in (Volume(clean, grid.affine), shaded)
    ]

    # N4 finds some field in any brain; what the shading adds to it must be the shading.
    added = estimates[1] - estimates[0]
    assert np.std(added - log_field[inside]) < 0.25 * log_field[inside].std()
    assert abs(estimates[1].mean()) < 0.02
