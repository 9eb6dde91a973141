from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurofm.config import PreprocessConfig
from neurofm.errors import ConfigError
from neurofm.files import sha256_of
from neurofm.preprocess.contract import contract_of, difference_of
from neurofm.preprocess.resampling import coarsen
from neurofm.preprocess.template_source import (
    stripped_template,
    template_files,
    template_sha256,
)
from neurofm.preprocess.template_space import template_space
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.template import packaged_template
from neurofm.volumes.volume import Volume

FLOW = "tpl-MNI152NLin2009cSym"


@pytest.fixture(scope="module")
def brain() -> Volume:
    """The packaged template at 4 mm: a small file to play with."""
    return coarsen(packaged_template("t1"), 4.0)


@pytest.fixture(scope="module")
def mask(brain: Volume) -> Volume:
    return Volume(brain.array > 0.05, brain.affine)


@pytest.fixture(scope="module")
def head(brain: Volume, mask: Volume) -> Volume:
    """The template with a bright shell of noise around it."""
    noise = np.random.default_rng(0).uniform(0.2, 1, brain.shape)
    return Volume(np.where(mask.array, brain.array, noise).astype(np.float32), brain.affine)


def test_a_template_file_on_another_grid_and_flipped_gives_what_nilearns_gives(
    tmp_path: Path,
) -> None:
    packaged = packaged_template("t1")
    widened = np.pad(packaged.array, ((2, 5), (3, 0), (0, 0)))[::-1, :, ::-1] * np.float32(255)
    turn = np.diag([-1.0, 1, -1, 1])
    turn[:3, 3] = (packaged.shape[0] + 4, -3, packaged.shape[2] - 1)
    write_volume(tmp_path / "t1.nii.gz", Volume(widened, packaged.affine @ turn))
    ours = template_space(str(tmp_path / "t1.nii.gz"), 6.0)
    theirs = template_space("nilearn", 6.0)
    np.testing.assert_allclose(ours.image.array, 255 * theirs.image.array, atol=0.05)
    assert (ours.brain.array == theirs.brain.array).mean() > 0.9999
    assert np.array_equal(ours.priors, theirs.priors)


def test_a_whole_head_is_refused_and_taken_with_its_mask(
    head: Volume, mask: Volume, tmp_path: Path
) -> None:
    write_volume(tmp_path / "mni_T1w.nii.gz", head)
    with pytest.raises(ConfigError, match="whole head.*beside it as mni_desc-brain_mask.nii.gz"):
        stripped_template(str(tmp_path / "mni_T1w.nii.gz"))
    write_volume(tmp_path / "mni_desc-brain_mask.nii.gz", mask, np.uint8)
    stripped = stripped_template(str(tmp_path / "mni_T1w.nii.gz"))
    assert np.array_equal(stripped.array > 0, mask.array)


@pytest.mark.parametrize(
    ("image", "beside"),
    [("mni.nii.gz", "mni_mask.nii.gz"), ("a.b_t1.nii.gz", "a.b_t1_mask.nii"),
     ("x_T1w.nii.gz", "x_mask.nii.gz"), ("x_T1w.nii.gz", "x_T1w_mask.nii.gz")],
)  # fmt: skip
def test_a_mask_is_found_by_its_usual_names(image: str, beside: str, tmp_path: Path) -> None:
    for name in (image, beside):
        (tmp_path / name).write_bytes(name.encode())
    assert template_files(str(tmp_path / image)).mask == tmp_path / beside


def test_a_mask_on_another_grid_is_refused(head: Volume, mask: Volume, tmp_path: Path) -> None:
    write_volume(tmp_path / "mni.nii.gz", head)
    write_volume(tmp_path / "mni_mask.nii.gz", Volume(mask.array[1:], mask.affine), np.uint8)
    with pytest.raises(ConfigError, match="does not lie on the grid of mni.nii.gz"):
        stripped_template(str(tmp_path / "mni.nii.gz"))


def test_a_template_of_another_space_is_refused(brain: Volume, tmp_path: Path) -> None:
    affine = brain.affine.copy()
    affine[1, 3] += 20
    write_volume(tmp_path / "other.nii.gz", Volume(brain.array, affine))
    with pytest.raises(ConfigError, match="lies elsewhere than MNI152"):
        stripped_template(str(tmp_path / "other.nii.gz"))


def test_the_contract_covers_the_mask_as_well(head: Volume, mask: Volume, tmp_path: Path) -> None:
    image, beside = tmp_path / "mni.nii.gz", tmp_path / "mni_mask.nii.gz"
    write_volume(image, head)
    assert template_sha256(str(image)) == sha256_of(image)
    write_volume(beside, mask, np.uint8)
    one = contract_of(PreprocessConfig(template=str(image)))
    smaller = mask.array.copy()
    smaller[:20] = False
    write_volume(beside, Volume(smaller, mask.affine), np.uint8)
    two = contract_of(PreprocessConfig(template=str(image)))
    assert difference_of(two, one).startswith("template_sha256")


def test_the_users_templateflow_folder_is_read_and_never_added_to(
    head: Volume, mask: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"fetch it once: .*api.get\('MNI152NLin2009cSym'"):
        template_files("templateflow")
    assert not list(tmp_path.iterdir())
    folder = tmp_path / FLOW
    write_volume(folder / f"{FLOW}_res-1_T1w.nii.gz", head)
    (folder / f"{FLOW}_res-1_desc-brain_mask.nii.gz").touch()  # as TemplateFlow's skeleton has it
    with pytest.raises(ConfigError, match="brain_mask.nii.gz: is not in your TemplateFlow"):
        template_files("templateflow")
    write_volume(folder / f"{FLOW}_res-1_desc-brain_mask.nii.gz", mask, np.uint8)
    assert np.array_equal(stripped_template("templateflow").array > 0, mask.array)
