"""The doctor tells good scans from bad ones, in words, and how each would be treated."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from neurofm.config import PreprocessConfig
from neurofm.config.encoders import ResNetConfig
from neurofm.errors import ConfigError, WeightsError
from neurofm.files import sha256_of
from neurofm.inference.diagnosis import Diagnosis, Finding
from neurofm.inference.doctor import Plan, examine, plan_for
from neurofm.models.card import Card, CohortCount, write_card
from neurofm.models.overlap import hash_participants
from neurofm.preprocess.contract import contract_of
from neurofm.preprocess.resampling import coarsen
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.template import packaged_template
from neurofm.volumes.volume import Volume

PLAN = Plan(PreprocessConfig(), "a test")
AFFINE = np.diag([2.5, 2.0, 2.0, 1.0])
SaveHead = Callable[..., Path]


def finding(diagnosis: Diagnosis, title: str, label: str) -> Finding:
    (section,) = [section for section in diagnosis.sections if section.title == title]
    (found,) = [found for found in section.findings if found.label == label]
    return found


def head() -> np.ndarray:
    """Noise that is brighter in the middle: a whole head to the doctor, 180 x 200 x 160 mm."""
    rng = np.random.default_rng(0)
    voxels = rng.integers(1, 40, (72, 100, 80))
    voxels[10:-10, 10:-10, 10:-10] += rng.integers(200, 900, (52, 80, 60))
    return voxels.astype(np.int16)


@pytest.fixture
def save_head(tmp_path: Path) -> SaveHead:
    """Save voxels, then overwrite header fields past nibabel's own mending."""

    def save(voxels: np.ndarray | None = None, name: str = "scan.nii.gz", **fields: Any) -> Path:
        image = nib.Nifti1Image(head() if voxels is None else voxels, AFFINE)
        image.set_qform(AFFINE, 1)
        image.header.set_xyzt_units("mm")
        data = image.to_bytes()
        header = np.frombuffer(data[:348], nib.nifti1.header_dtype).copy()
        for field, value in fields.items():
            header[0][field] = value
        data = header.tobytes() + data[348:]
        path = tmp_path / name
        path.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
        return path

    return save


@pytest.fixture(scope="module")
def stripped_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a stripped scan of 4 mm."""
    brain = coarsen(packaged_template("t1"), 4.0)
    array = np.where(brain.array > 0.1, 800 * brain.array, 0).astype(np.float32)
    path = tmp_path_factory.mktemp("stripped") / "brain.nii.gz"
    write_volume(path, Volume(array, brain.affine))
    return path


def save_weights(folder: Path, contract_note: str | None = None, **changes: Any) -> Path:
    """A card and some bytes as weights: the doctor never opens the tensors."""
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"tensors")
    contract = contract_of(PreprocessConfig()).model_dump(mode="json")
    if contract_note:
        contract["normalisation"] = contract_note
    values: dict[str, Any] = {
        "encoder": ResNetConfig(), "features": 512, "spacing_mm": 1.0, "contract": contract,
        "weights_sha256": sha256_of(folder / "weights.safetensors"),
        "cohorts": (CohortCount(cohort="ADNI", participants=3, scans=7),),
    }  # fmt: skip
    write_card(folder, Card(**(values | changes)))
    return folder


def test_a_good_whole_head_can_be_used(save_head: SaveHead) -> None:
    diagnosis = examine(save_head(descrip=b"DOE^JANE", intent_name=b"DOE"), PLAN)
    assert diagnosis.usable
    assert diagnosis.verdict == "can be used, with care: voxels of up to 2.5 mm: detail between " \
        "them was never measured"  # fmt: skip
    assert finding(diagnosis, "File", "read").value == "to the last byte, no damage found"
    assert finding(diagnosis, "Header", "dimensions").value == "72 x 100 x 80"
    assert finding(diagnosis, "Header", "field of view").value == "180 x 200 x 160 mm"
    assert finding(diagnosis, "Header", "orientation").value.startswith("RAS")
    assert finding(diagnosis, "Header", "placed by").value == "sform and qform, which agree"
    assert finding(diagnosis, "Header", "voxel type").value == "int16"
    assert finding(diagnosis, "Header", "free text").value == "yes, in descrip, intent_name"
    assert finding(diagnosis, "Brain", "shows").value == "a whole head"
    assert finding(diagnosis, "Treatment", "brain extraction").value == "deepbet"
    assert finding(diagnosis, "Treatment", "reorientation").value.startswith("none")
    assert "finer: 2.5 x 2 x 2" in finding(diagnosis, "Treatment", "resampling").value
    assert "DOE" not in repr(diagnosis)


def test_a_usual_scan_has_a_verdict_without_buts(save_head: SaveHead) -> None:
    path = save_head(pixdim=[1, 2, 2, 2, 0, 0, 0, 0], srow_x=[2, 0, 0, 0])
    assert examine(path, PLAN).verdict == "can be used"


def test_a_stripped_scan_is_recognised_and_kept_as_it_is(stripped_file: Path) -> None:
    diagnosis = examine(stripped_file, PLAN)
    shows = finding(diagnosis, "Brain", "shows")
    assert "stripped already" in shows.value
    assert 1000 < float(shows.value.split()[3]) < 2400
    kept = finding(diagnosis, "Treatment", "brain extraction").value
    assert kept == "none: the brain is kept as it came"


def test_intensities_are_counted_exactly(save_head: SaveHead) -> None:
    voxels = head()
    voxels[:, :, :10] = 0
    voxels[0, 0, 40:50] = -7
    diagnosis = examine(save_head(voxels), PLAN)
    assert finding(diagnosis, "Intensities", "zeros").value == "12.5% of the voxels"
    spread = finding(diagnosis, "Intensities", "range").value
    assert spread.startswith("lowest -7,")
    assert spread.endswith(f"highest {voxels.max()}")
    assert "has negative values, down to -7" in diagnosis.cautions


def test_few_different_values_are_a_caution(save_head: SaveHead) -> None:
    diagnosis = examine(save_head((head() // 200).astype(np.int16)), PLAN)
    assert "different values: a label map, or saved too coarsely" in diagnosis.verdict


@pytest.mark.parametrize(("axis", "degrees", "cautious"), [(0, 10, False), (2, 38, True)])
def test_an_oblique_scan_is_measured(
    save_head: SaveHead, axis: int, degrees: float, cautious: bool
) -> None:
    from scipy.spatial.transform import Rotation

    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz"[axis], degrees, degrees=True).as_matrix()
    turned[:3, :3] *= [2.0, 2.0, 2.0]
    rows = {f"srow_{name}": turned[place] for place, name in enumerate("xyz")}
    path = save_head(pixdim=[1, 2, 2, 2, 0, 0, 0, 0], qform_code=0, **rows)
    diagnosis = examine(path, PLAN)
    assert finding(diagnosis, "Header", "oblique").value == f"{degrees:.1f} degrees"
    assert ("oblique" in diagnosis.verdict) == cautious
    assert finding(diagnosis, "Header", "placed by").value == "sform alone"


def test_a_field_of_view_too_small_for_a_brain_is_a_caution(save_head: SaveHead) -> None:
    assert "hardly room for a whole brain" in examine(save_head(head()[:, :, :52]), PLAN).verdict


@pytest.mark.parametrize(
    ("break_scan", "words", "sections"),
    [
        (lambda p: p.unlink(), "does not exist", 0),
        (lambda p: p.write_bytes(b""), "is empty", 0),
        (lambda p: p.write_bytes(bytes(128) + b"DICM" + bytes(999)), "is DICOM, not NIfTI", 0),
        (lambda p: p.write_bytes(b"<html>"), "is a web page", 0),
        (lambda p: p.write_bytes(p.read_bytes()[:9999]), "is cut off; copy or download", 2),
        (lambda p: p.write_bytes(p.read_bytes()[:-3]), "is cut off", 2),
    ],
)
def test_a_file_that_is_no_scan_gets_its_line_and_what_could_be_read(
    save_head: SaveHead, break_scan: Callable[[Path], object], words: str, sections: int
) -> None:
    path = save_head()
    break_scan(path)
    diagnosis = examine(path, PLAN)
    assert not diagnosis.usable
    assert diagnosis.verdict.startswith("cannot be used: ")
    assert words in diagnosis.verdict
    assert len(diagnosis.sections) == sections


@pytest.mark.parametrize(
    ("voxels", "fields", "words"),
    [
        (None, {"sform_code": 0, "qform_code": 0}, "--assume-orientation LAS or RAS"),
        (None, {"srow_x": [-2.5, 0, 0, 0]}, "disagree about where left and right are"),
        (None, {"srow_x": [np.nan] * 4}, "its sform is not finite"),
        (None, {"srow_z": [0, 0, 20, 0]}, "outside 0.1 to 10"),
        (None, {"pixdim": [1, 0, 2, 2, 0, 0, 0, 0]}, "its voxel size is 0 x 2 x 2"),
        (None, {"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "more than a head needs"),
        (None, {"dim": [9, 72, 100, 80, 1, 1, 1, 1]}, "gives 9 dimensions"),
        (None, {"dim": [0] * 8}, "gives 0 dimensions"),
        (None, {"datatype": 32}, "has complex voxels"),
        (None, {"scl_inter": np.nan, "scl_slope": 2}, "scl_inter is nan"),
        (np.zeros((72, 100, 80), np.int16), {}, "every voxel is zero"),
        (head() > 100, {}, "is a mask or label map"),
        (np.where(head() > 100, np.nan, head()), {}, "NaN or infinite"),
        (np.stack([head(), head()], -1), {}, "--volume N"),
    ],
)
def test_a_scan_that_cannot_be_used_still_shows_its_header(
    save_head: SaveHead,
    voxels: np.ndarray | None,
    fields: dict[str, Any],
    words: str,
) -> None:
    kind = np.uint8 if voxels is not None and voxels.dtype == bool else None
    path = save_head(voxels if kind is None else voxels.astype(kind), **fields)
    diagnosis = examine(path, PLAN)
    assert words in diagnosis.verdict
    assert [section.title for section in diagnosis.sections] == ["File", "Header"]
    assert finding(diagnosis, "File", "read").value == "see the verdict"


def test_choices_for_series_and_orientation_are_told_with_the_recipes_key(
    save_head: SaveHead,
) -> None:
    series = np.stack([np.zeros_like(head()), head()], -1)
    path = save_head(series, sform_code=0, qform_code=0)
    diagnosis = examine(path, plan_for(volume_index=1, assume_orientation="LAS"))
    assert diagnosis.usable
    volume = finding(diagnosis, "Treatment", "volume")
    assert volume.remark == "the recipe must say preprocess.volume_index=1"
    assumed = finding(diagnosis, "Treatment", "assumed orientation")
    assert assumed.remark == "the recipe must say preprocess.assume_orientation=LAS"
    assert "LAS was assumed as asked" in diagnosis.verdict


def test_weights_that_fit_say_so_and_tell_what_they_saw(
    tmp_path: Path, save_head: SaveHead
) -> None:
    weights = save_weights(tmp_path / "w")
    diagnosis = examine(save_head(), plan_for(weights))
    fit = finding(diagnosis, "Weights", "fit").value
    assert fit == "prepared with these settings, the scan fits the weights"
    assert finding(diagnosis, "Weights", "checksum").value == "right"
    wanted = finding(diagnosis, "Weights", "wants volumes of").value
    assert wanted == "192 x 192 x 150 voxels of 1 mm"
    assert finding(diagnosis, "Weights", "wants registration").value.startswith("ants-rigid")
    cohorts = finding(diagnosis, "Weights", "trained on").value
    assert cohorts == "3 participants (7 scans): ADNI 3 (7)"


def test_weights_of_another_contract_are_a_caution_that_names_the_difference(
    tmp_path: Path, save_head: SaveHead
) -> None:
    weights = save_weights(tmp_path / "w", contract_note="z-score")
    verdict = examine(save_head(), plan_for(weights)).verdict
    assert "normalisation is white-stripe-t1, not z-score" in verdict
    assert "--allow-other-preprocessing" in verdict


def test_settings_come_from_the_weights_unless_a_recipe_is_named(
    tmp_path: Path, save_head: SaveHead
) -> None:
    own = {"name": "mine", "preprocess": {"transform": "affine"}}
    contract = contract_of(PreprocessConfig(transform="affine")).model_dump(mode="json")
    weights = save_weights(tmp_path / "w", recipe=own, contract=contract)
    path = save_head()
    fits = examine(path, plan_for(weights))
    assert finding(fits, "Treatment", "registration").value.startswith("ants-affine")
    assert "the scan fits" in finding(fits, "Weights", "fit").value
    other = examine(path, plan_for(weights, "simclr-paper"))
    assert "step 'registration' is ants-rigid" in other.verdict


def test_damaged_weights_forbid_the_use(tmp_path: Path, save_head: SaveHead) -> None:
    weights = save_weights(tmp_path / "w")
    (weights / "weights.safetensors").write_bytes(b"tensorz")
    diagnosis = examine(save_head(), plan_for(weights))
    assert diagnosis.verdict.startswith("cannot be used: the weights are damaged")


def test_a_scan_the_weights_were_trained_on_is_a_caution(
    tmp_path: Path, save_head: SaveHead
) -> None:
    path = save_head()
    hashes = tuple(hash_participants([sha256_of(path)], "salt"))
    weights = save_weights(tmp_path / "w", scan_hashes=hashes, participant_salt="salt")
    assert "trained on this very file" in examine(path, plan_for(weights)).verdict
    other = save_head(head()[::-1], name="other.nii.gz")
    assert finding(
        examine(other, plan_for(weights)), "Weights", "seen in training"
    ).value == "not this file"  # fmt: skip


def test_a_folder_without_weights_or_an_unknown_recipe_stops_the_work(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no weights"):
        plan_for(tmp_path)
    with pytest.raises(ConfigError, match="no such recipe"):
        plan_for(recipe="nowhere")


def test_a_missing_template_is_a_caution_and_not_a_crash(save_head: SaveHead) -> None:
    plan = Plan(PreprocessConfig(template="/nowhere/t1.nii.gz"), "a test")
    verdict = examine(save_head(), plan).verdict
    assert "no such template" in verdict


def test_random_damage_always_gets_a_verdict(tmp_path: Path, save_head: SaveHead) -> None:
    small = head()[::6, ::6, ::6]
    whole = save_head(
        small, name="s.nii", pixdim=[1, 12, 12, 12, 0, 0, 0, 0], sform_code=0
    ).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.nii"
    verdicts = set()
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, 352, 3):
            data[place] = rng.choice([0, 0x7F, 0x80, 0xFF, rng.integers(256)])
        path.write_bytes(bytes(data))
        verdicts.add(examine(path, PLAN).verdict)
    assert len(verdicts) > 5


@pytest.mark.slow
def test_full_prepares_the_scan_and_tells_its_quality(stripped_file: Path) -> None:
    config = PreprocessConfig(
        spacing_mm=6.0, bias_field_spacing_mm=6.0, bias_field_shrink=2, registration_spacing_mm=4.0
    )
    diagnosis = examine(stripped_file, Plan(config, "a test"), full=True)
    assert diagnosis.usable
    assert finding(diagnosis, "Prepared", "quality").value in {"pass", "look"}
    assert 900 < float(finding(diagnosis, "Prepared", "brain ml").value) < 2300
    assert "came stripped" not in diagnosis.verdict
    assert "came stripped" in finding(diagnosis, "Prepared", "note").value


@pytest.mark.parametrize(
    ("name", "orientation", "shows"),
    [
        ("ixi10/T1/IXI012-HH-1211-T1.nii.gz", "PSR", "a whole head"),
        ("ds002748/sub-02/anat/sub-02_T1w.nii.gz", "LAS", "stripped already"),
    ],
)
def test_a_real_scan_can_be_used(shared: Path, name: str, orientation: str, shows: str) -> None:
    diagnosis = examine(shared / "scans" / name, PLAN)
    assert diagnosis.verdict == "can be used"
    assert finding(diagnosis, "Header", "orientation").value.startswith(orientation)
    assert shows in finding(diagnosis, "Brain", "shows").value


def test_the_command_prints_plain_lines_and_counts_the_unusable(
    neurofm: Any, tmp_path: Path, save_head: SaveHead
) -> None:
    good, gone = save_head(descrip=b"DOE^JANE"), tmp_path / "gone.nii.gz"
    one = neurofm("doctor", good)
    assert (one.returncode, one.stderr) == (0, "")
    assert one.stdout.splitlines()[-1].startswith("Verdict: can be used, with care: ")
    assert "\x1b" not in one.stdout
    assert "DOE" not in one.stdout
    two = neurofm("doctor", good, gone)
    assert two.returncode == 1
    assert two.stdout.splitlines()[-1] == (
        "Verdict: cannot be used: does not exist; check the path"
    )
    assert "Traceback" not in two.stderr
    none = neurofm("doctor")
    assert none.returncode == 2
    assert "no scan was given" in none.stderr
