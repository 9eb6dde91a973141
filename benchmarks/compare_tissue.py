"""What atlas and neighbours do for the tissue map: Dice with DLMUSE, for several weights of both.

python benchmarks/compare_tissue.py [SCANS] (default ../shared/scans); about 8 minutes
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_preprocess_agreement import agreement
from real_scans import coarse_heads, scans_folder

from neurofm.config import PreprocessConfig
from neurofm.preprocess.pipeline import prepare_scan
from neurofm.preprocess.template_space import template_space
from neurofm.preprocess.tissue import Trust, label_tissue
from neurofm.volumes.volume import Volume

# The last is what preprocessing does.
TRIED = (
    Trust(atlas_share=0.0, neighbour_rounds=0),
    Trust(atlas_share=0.5, neighbour_rounds=0),
    Trust(atlas_share=0.9, neighbour_rounds=0),
    Trust(atlas_share=0.99, neighbour_rounds=0),
    Trust(atlas_share=0.9, neighbour_weight=1.0),
    Trust(atlas_share=0.9, neighbour_weight=4.0),
    Trust(atlas_share=0.99),
    Trust(),
)


def main(scans: Path) -> None:
    """Print the mean Dice coefficients of fluid, grey and white matter of each variant."""
    config = PreprocessConfig()
    priors = template_space(config.template, config.spacing_mm).priors
    table = []
    for path in coarse_heads(scans):
        reference = scans / "ixi10" / "dlmuse" / f"{path.name[:-7]}_DLMUSE.nii.gz"
        prepared = prepare_scan(path, config)
        # Up to a factor, which the mixture does not see, the image before its normalisation.
        image = np.asarray(prepared.image.array) - np.float32(prepared.stripe.background)
        brain = np.asarray(prepared.brain_mask.array)
        rows = []
        for trust in TRIED:
            labels = Volume(label_tissue(image, brain, priors, trust), prepared.tissue.affine)
            rows.append(agreement(replace(prepared, tissue=labels), reference)[1:])
        table.append(rows)
        print(path.name, " ".join(f"{value:.3f}" for value in rows[-1]), flush=True)
    print("share of the atlas, weight and rounds of the neighbours: CSF, grey, white, mean")
    for trust, dices in zip(TRIED, np.mean(table, axis=0), strict=True):
        names = f"{trust.atlas_share}, {trust.neighbour_weight} x {trust.neighbour_rounds}"
        print(f"{names}: " + " ".join(f"{value:.3f}" for value in (*dices, dices.mean())))


if __name__ == "__main__":
    main(scans_folder())
