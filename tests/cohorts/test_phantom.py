"""A phantom cohort on disk: whole, reproducible, upright, and as its tables say."""

import json
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from neurofm.cohorts.phantom import scan_path, simulate_session, write_phantom_cohort
from neurofm.cohorts.phantom_people import Person, draw_people
from neurofm.cohorts.phantom_sites import SITES
from neurofm.config import PhantomConfig
from neurofm.errors import RunError
from neurofm.files import sha256_of
from neurofm.volumes.nifti import read_volume
from neurofm.volumes.template import packaged_template
from neurofm.volumes.volume import Volume

CONFIG = PhantomConfig(
    participants=6, spacing_mm=5.0, stripped=True, repeat_fraction=0.4, stroke_fraction=0.3
)
FEWER = CONFIG.model_copy(update={"participants": 2})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "cohort"
    write_phantom_cohort(folder, CONFIG, seed=2)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


def on_template(volume: Volume, spacing_mm: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Template and volume at the same places of scanner space, by the affines alone."""
    template = packaged_template("t1")
    coarse = np.asarray(template.array)[::spacing_mm, ::spacing_mm, ::spacing_mm]
    affine = template.affine @ np.diag([spacing_mm] * 3 + [1])
    to_volume = np.linalg.inv(volume.affine) @ affine
    return coarse, ndimage.affine_transform(
        volume.array, to_volume, output_shape=coarse.shape, order=1
    )


def darkness_around(placed: np.ndarray, centre_mm: tuple[int, int, int]) -> float:
    """Mean darkness in a box of 32 mm in template space."""
    origin = packaged_template("t1").affine[:3, 3]
    x, y, z = ((np.array(centre_mm) - origin) / 4).astype(int)
    return -float(placed[x - 4 : x + 5, y - 4 : y + 5, z - 4 : z + 5].mean())


@lru_cache(maxsize=1)
def whole_head() -> np.ndarray:
    config = PhantomConfig(participants=1, spacing_mm=5.0, sites=1)
    simulated = simulate_session(config, 0, draw_people(config, 0)[0], 0)
    image, mask = simulated.acquisition.image.array, simulated.acquisition.brain_mask.array
    return np.stack([image, mask])


@pytest.fixture(scope="module")
def fewer(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fewer") / "cohort"
    write_phantom_cohort(folder, FEWER, seed=2)
    return folder


def test_the_same_seed_gives_the_same_bytes_with_two_workers(fewer, tmp_path):
    write_phantom_cohort(tmp_path / "again", FEWER, seed=2, workers=2)
    assert hashes(tmp_path / "again") == hashes(fewer)


def test_a_cohort_is_the_beginning_of_a_larger_one(cohort, fewer):
    small, large = hashes(fewer), hashes(cohort)
    scans = [name for name in small if name.endswith(".nii.gz")]
    assert scans
    assert all(small[name] == large[name] for name in scans)


def test_the_folder_is_bids(cohort):
    description = json.loads((cohort / "dataset_description.json").read_text())
    assert description["DatasetType"] == "raw"
    table = pd.read_csv(cohort / "participants.tsv", sep="\t")
    described = json.loads((cohort / "participants.json").read_text())
    assert set(table.columns) == set(described)
    for person in draw_people(CONFIG, 2):
        for session in range(len(person.ages_years)):
            assert (cohort / scan_path(person, session)).is_file()
    assert len(list(cohort.rglob("*_T1w.nii.gz"))) == sum(
        len(person.ages_years) for person in draw_people(CONFIG, 2)
    )


def test_the_table_is_true_of_the_images(cohort):
    table = pd.read_csv(cohort / "participants.tsv", sep="\t").set_index("participant_id")
    parts = table[["gm_ml", "wm_ml", "csf_ml", "lesion_ml"]].sum(axis=1)
    np.testing.assert_allclose(parts, table["brain_ml"], atol=0.1)
    for person in draw_people(CONFIG, 2):
        volume = read_volume(cohort / scan_path(person, 0)).volume
        seen_ml = np.count_nonzero(volume.array) * volume.voxel_ml
        assert seen_ml == pytest.approx(table.loc[f"sub-{person.label}", "brain_ml"], rel=0.04)


def test_later_sessions_have_a_table_with_more_fluid_in_the_same_hull(cohort):
    tables = [pd.read_csv(path, sep="\t") for path in cohort.rglob("*_sessions.tsv")]
    assert tables
    for table in tables:
        assert table["age"].is_monotonic_increasing
        assert table["csf_ml"].is_monotonic_increasing
        assert table["brain_ml"].nunique() == 1


@pytest.mark.parametrize("site", range(len(SITES)))
def test_every_site_stores_upright_heads_in_its_own_axes_and_voxels(site):
    config = PhantomConfig(participants=1, spacing_mm=5.0, stripped=True, sites=8)
    person = Person(1, (30.0,), "M", "H", site, None)
    scan = simulate_session(config, 0, person, 0).acquisition.image
    assert "".join(nib.aff2axcodes(scan.affine)) == SITES[site].axes
    sizes = sorted(5.0 * factor for factor in SITES[site].voxel)
    np.testing.assert_allclose(sorted(scan.spacing_mm), sizes, rtol=1e-6)
    template, placed = on_template(scan)
    upright = np.corrcoef(template.ravel(), placed.ravel())[0, 1]
    assert upright > 0.85
    for axis in (1, 2):
        flipped = np.flip(placed, axis)
        assert np.corrcoef(template.ravel(), flipped.ravel())[0, 1] < upright - 0.02


@pytest.mark.parametrize("site", range(len(SITES)))
def test_left_stays_left_whatever_the_axes(site):
    config = PhantomConfig(participants=1, spacing_mm=5.0, stripped=True, sites=8)
    simulated = simulate_session(config, 0, Person(7, (60.0,), "M", "S", site, 30), 0)
    anatomy = simulated.anatomy
    x_mm = anatomy.origin_mm[0] + anatomy.spacing_mm * np.arange(anatomy.lesion.shape[0])
    is_right = float((anatomy.lesion.sum((1, 2)) * x_mm).sum()) > 0
    _, placed = on_template(simulated.acquisition.image)
    left, right = (darkness_around(placed, (side * 38, -12, 18)) for side in (-1, 1))
    assert (right > left) == is_right


def test_second_sessions_show_the_same_anatomy_in_another_pose():
    config = PhantomConfig(participants=1, spacing_mm=5.0, stripped=True)
    person = Person(4, (60.0, 62.0), "F", "H", 0, None)
    other = Person(5, (60.0,), "F", "H", 0, None)
    first, second = (simulate_session(config, 0, person, session) for session in (0, 1))
    stranger = simulate_session(config, 0, other, 0)
    assert np.array_equal(first.anatomy.brain, second.anatomy.brain)
    assert np.corrcoef(first.anatomy.grey.ravel(), second.anatomy.grey.ravel())[0, 1] > 0.99
    assert not np.array_equal(first.acquisition.image.array, second.acquisition.image.array)
    assert stranger.anatomy.brain.shape != first.anatomy.brain.shape or not np.array_equal(
        stranger.anatomy.brain, first.anatomy.brain
    )


def test_a_whole_head_has_a_dark_skull_around_the_brain_and_a_bright_scalp():
    image, mask = whole_head()
    distance = ndimage.distance_transform_edt(mask == 0) * 5.0
    top = np.zeros_like(mask, dtype=bool)
    top[:, :, int(image.shape[2] * 0.7) :] = True
    brain = image[(mask > 0) & top].mean()
    skull = image[top & (distance > 2) & (distance < 7)].mean()
    scalp = np.percentile(image[top & (distance > 8) & (distance < 14)], 80)
    assert skull < 0.6 * brain
    assert scalp > 0.6 * brain
    assert image[top & (distance > 30)].mean() < 0.1 * brain


def test_nothing_lies_outside_a_stripped_brain():
    config = PhantomConfig(participants=1, spacing_mm=5.0, stripped=True)
    scan = simulate_session(config, 0, draw_people(config, 0)[0], 0).acquisition
    assert not scan.image.array[~scan.brain_mask.array].any()


def test_a_complete_cohort_is_left_alone_and_another_is_refused(cohort):
    before = {path: path.stat().st_mtime_ns for path in cohort.rglob("*.nii.gz")}
    write_phantom_cohort(cohort, CONFIG, seed=2)
    assert before == {path: path.stat().st_mtime_ns for path in cohort.rglob("*.nii.gz")}
    with pytest.raises(RunError, match="another phantom cohort"):
        write_phantom_cohort(cohort, CONFIG, seed=3)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        write_phantom_cohort(tmp_path, CONFIG, seed=2)
