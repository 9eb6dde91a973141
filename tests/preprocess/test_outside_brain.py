from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofm.errors import MissingDependencyError, ScanError
from neurofm.preprocess.brain_extraction import find_brain
from neurofm.preprocess.outside_brain import (
    HD_BET,
    MODEL_VARIABLE,
    SYNTHSTRIP,
    outside_mask,
    require_outside_brain,
)
from neurofm.volumes.volume import Volume

Play = Callable[[str, str], Path]

# Reads the scan it is given and calls what is bright its brain, with axes as scanners have them.
READ = """
import nibabel as nib, numpy as np
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
scan = nib.load(given["-i"])
brain = (scan.get_fdata() > 90).astype(np.uint8)
def save(array, affine, path):
    nib.save(nib.Nifti1Image(array, affine), path)
"""
GOOD = READ + "save(brain, scan.affine, given['-m'])"
FLIPPED = (
    READ
    + """
turn = np.diag([-1.0, 1, 1, 1])
turn[0, 3] = brain.shape[0] - 1
save(brain[::-1].copy(), scan.affine @ turn, given["-m"])
"""
)
MODEL = READ + "assert given['--model'].endswith('strip.pt')\nsave(brain, scan.affine, given['-m'])"
HD_BET_2 = """
import nibabel as nib, numpy as np
known = ["-i", "-o", "-device", "--disable_tta", "--save_bet_mask", "--no_bet_image"]
assert {a for a in sys.argv if a.startswith("-")} == set(known), sys.argv
place = sys.argv.index
scan = nib.load(sys.argv[place("-i") + 1])
out = sys.argv[place("-o") + 1]
assert out.endswith(".nii.gz") and sys.argv[place("-device") + 1] == "cpu"
mask = nib.Nifti1Image((scan.get_fdata() > 90).astype(np.uint8), scan.affine)
nib.save(mask, out[:-7] + "_bet.nii.gz")
"""
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
SILENT = "print('all done')"
EMPTY = READ + "save(0 * brain, scan.affine, given['-m'])"
OTHER_GRID = READ + "save(brain[::2], scan.affine, given['-m'])"
MOVED = READ + "scan.affine[0, 3] += 4\nsave(brain, scan.affine, given['-m'])"
CUT = GOOD + "\nwith open(given['-m'], 'r+b') as file:\n    file.truncate(300)"


@pytest.fixture(scope="module")
def head() -> Volume:
    """A bright ball in noise: no stripped scan, and easy for the programs."""
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = -100
    distance = np.linalg.norm(np.indices((36, 36, 36)) - 17.5, axis=0) * 6
    noise = np.random.default_rng(0).uniform(1, 20, distance.shape)
    return Volume(np.where(distance < 70, 100, noise).astype(np.float32), affine)


@pytest.mark.parametrize("body", [GOOD, FLIPPED, GOOD + "\nsys.exit(1)"])
def test_the_mask_is_what_counts_whatever_its_axes_and_the_exit_status(
    head: Volume, play_program: Play, body: str
) -> None:
    play_program("mri_synthstrip", body)
    brain = find_brain(head, back_end="synthstrip")
    assert brain.source == "synthstrip"
    assert np.array_equal(brain.mask.array, head.array == 100)


def test_version_2_of_hd_bet_is_called_as_it_wants(head: Volume, play_program: Play) -> None:
    play_program("hd-bet", HD_BET_2)
    brain = find_brain(head, back_end="hd-bet")
    assert brain.source == "hd-bet"
    assert np.array_equal(brain.mask.array, head.array == 100)


def test_nipreps_synthstrip_is_given_its_model(
    head: Volume, play_program: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_program("nipreps-synthstrip", MODEL)
    with pytest.raises(MissingDependencyError, match=f"set {MODEL_VARIABLE}"):
        require_outside_brain(SYNTHSTRIP)
    (tmp_path / "strip.pt").write_bytes(b"weights")
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "strip.pt"))
    require_outside_brain(SYNTHSTRIP)
    assert np.array_equal(outside_mask(head, SYNTHSTRIP), head.array == 100)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (CRASH, r"does not exist \(the program was killed by SIGSEGV\)"),
        (SILENT, r"does not exist \(the program ended with status 0, its last words: all done\)"),
        (EMPTY, "mask is empty"),
        (OTHER_GRID, r"has \(18, 36, 36\) voxels, the scan \(36, 36, 36\)"),
        (MOVED, "lies elsewhere than the scan"),
        (CUT, "no usable mask"),
    ],
)
def test_a_program_that_fails_costs_one_scan_and_one_line(
    head: Volume, play_program: Play, body: str, message: str
) -> None:
    play_program("mri_synthstrip", body)
    with pytest.raises(ScanError, match=message) as caught:
        outside_mask(head, SYNTHSTRIP)
    assert caught.value.kind == "tool"
    assert "\n" not in str(caught.value)
    assert "mri_synthstrip" in str(caught.value)


def test_a_program_that_hangs_is_stopped(head: Volume, play_program: Play) -> None:
    play_program("hd-bet", "import time; time.sleep(600)")
    started = time.monotonic()
    with pytest.raises(ScanError, match="still at work") as caught:
        outside_mask(head, HD_BET, limit_seconds=1)
    assert caught.value.kind == "tool"
    assert time.monotonic() - started < 20


def test_stripped_scans_and_given_masks_need_no_program(head: Volume, play_program: Play) -> None:
    mask = Volume(head.array == 100, head.affine)
    assert find_brain(head, mask, "hd-bet").source == "given"
    stripped = Volume(np.where(mask.array, head.array, 0), head.affine)
    assert find_brain(stripped, back_end="hd-bet").source == "already-stripped"
