from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofm.config import PreprocessConfig
from neurofm.errors import ScanError
from neurofm.preprocess.pipeline import prepare_scan
from neurofm.preprocess.synthseg import TISSUE_OF_LABEL, synthseg_labels, tissue_of_labels
from neurofm.preprocess.tissue import CSF, GREY, WHITE
from neurofm.volumes.grids import Grid
from neurofm.volumes.volume import Volume

Play = Callable[[str, str], Path]
# Labels by brightness, on a grid of its own with half the spacing.
SEGMENTS = """
import nibabel as nib, numpy as np
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
scan = nib.load(given["--i"])
fine = scan.get_fdata().repeat(2, 0).repeat(2, 1).repeat(2, 2)
labels = np.select([fine > 560, fine > 330, fine > 60], [2, 42, 24], 0).astype(np.int32)
halve = np.diag([0.5, 0.5, 0.5, 1])
halve[:3, 3] = -0.25
nib.save(nib.Nifti1Image(LABELS, scan.affine @ halve), given["--o"])
"""


def test_labels_lie_where_the_scan_says_and_stay_inside_the_brain() -> None:
    labels = np.zeros((4, 4, 4), dtype=np.int32)
    labels[1], labels[2], labels[3] = 43, 3, 16
    brain = np.ones((4, 4, 4), dtype=bool)
    brain[:, :, 0] = False
    grid = Grid((4, 4, 4), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 7.3  # the scan lies 7 mm beside the grid, and a bit
    back = np.linalg.inv(moved)
    tissue = tissue_of_labels(Volume(labels, moved), brain, grid, back)
    assert not tissue[:, :, 0].any()
    assert [int(value) for value in tissue[:, 1, 1]] == [CSF, CSF, GREY, WHITE]


def test_every_label_of_synthseg_has_a_tissue() -> None:
    left = {2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 26, 28}
    right = {41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60}
    assert TISSUE_OF_LABEL.keys() == left | right


def test_the_pipeline_takes_its_labels(
    scan_file: Path, quick_config: PreprocessConfig, play_program: Play
) -> None:
    play_program("mri_synthseg", SEGMENTS.replace("LABELS", "labels"))
    ours = prepare_scan(scan_file, quick_config)
    theirs = prepare_scan(scan_file, quick_config.model_copy(update={"tissue": "synthseg"}))
    assert np.array_equal(ours.brain_mask.array, theirs.brain_mask.array)
    assert np.array_equal(ours.image.array, theirs.image.array)
    inside = ours.brain_mask.array.astype(bool)
    assert 0.6 < (ours.tissue.array == theirs.tissue.array)[inside].mean() < 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "does not exist"),
        (SEGMENTS.replace("LABELS", "labels * 1000"), "labels SynthSeg does not use"),
        (SEGMENTS.replace("LABELS", "labels + 0.5"), "not all values are whole"),
    ],
)
def test_no_label_map_or_a_strange_one_is_a_failed_scan(
    known_scan: Volume, play_program: Play, body: str, message: str
) -> None:
    play_program("mri_synthseg", body)
    with pytest.raises(ScanError, match=message) as caught:
        synthseg_labels(known_scan)
    assert caught.value.kind == "tool"


def test_labels_beside_the_brain_are_refused() -> None:
    labels = Volume(np.full((4, 4, 4), 2, dtype=np.int32), np.eye(4))
    grid = Grid((4, 4, 4), np.eye(4))
    beside = np.eye(4)
    beside[2, 3] = 3
    with pytest.raises(ScanError, match="cover 25% of the brain"):
        tissue_of_labels(labels, np.ones((4, 4, 4), dtype=bool), grid, beside)
