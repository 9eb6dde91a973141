from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS
from neurofm.config import PreprocessConfig
from neurofm.errors import ConfigError, MissingDependencyError
from neurofm.files import read_json
from neurofm.preprocess.back_ends import back_end_versions, require_back_ends
from neurofm.preprocess.batch import preprocess_index
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume

Play = Callable[[str, str], Path]
# Good at one scan; of a brighter one it writes half a mask, and then says that all is well.
STRIPS = """
import nibabel as nib, numpy as np
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if "-i" not in given:
    sys.exit("mri_synthstrip 1.8")
scan = nib.load(given["-i"])
nib.save(nib.Nifti1Image((scan.get_fdata() > 60).astype(np.uint8), scan.affine), given["-m"])
if scan.get_fdata().max() > 1500:
    with open(given["-m"], "r+b") as file:
        file.truncate(400)
"""


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"brain_extraction": "synthstrip"}, "mri_synthstrip or nipreps-synthstrip.*FreeSurfer"),
        ({"brain_extraction": "hd-bet"}, "no hd-bet on the PATH; pip install 'hd-bet>=2'"),
        ({"tissue": "synthseg"}, "no mri_synthseg on the PATH; install FreeSurfer"),
    ],
)
def test_a_missing_program_stops_the_batch_before_it_starts(
    setting: dict[str, str], message: str, play_program: Play, tmp_path: Path
) -> None:
    frame = pd.DataFrame([], columns=list(COLUMNS))
    config = PreprocessConfig.model_validate(setting)
    with pytest.raises(MissingDependencyError, match=message):
        preprocess_index(frame, tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_programs_that_are_there_are_enough_and_tell_their_versions(play_program: Play) -> None:
    play_program("hd-bet", "print('HD-BET 2.0.1')")
    play_program("mri_synthseg", "print('usage: --i --o')")
    config = PreprocessConfig(brain_extraction="hd-bet", tissue="synthseg")
    require_back_ends(config)
    assert back_end_versions(config) == {"hd-bet": "HD-BET 2.0.1"}
    require_back_ends(PreprocessConfig())
    assert back_end_versions(PreprocessConfig()) == {}


def test_a_missing_template_is_found_before_work_starts() -> None:
    with pytest.raises(ConfigError, match="no such template"):
        require_back_ends(PreprocessConfig(template="/nowhere/t1.nii.gz"))


def test_a_program_that_fails_on_one_scan_does_not_stop_the_others(
    known_scan: Volume, quick_config: PreprocessConfig, play_program: Play, tmp_path: Path
) -> None:
    play_program("mri_synthstrip", STRIPS)
    air = np.random.default_rng(0).uniform(1, 20, known_scan.shape)
    head = np.where(known_scan.array == 0, air, known_scan.array).astype(np.float32)
    write_volume(tmp_path / "good.nii.gz", Volume(head, known_scan.affine))
    write_volume(tmp_path / "bad.nii.gz", Volume(head * 3, known_scan.affine))
    rows = [
        dict.fromkeys(COLUMNS)
        | {"scan_id": name, "cohort": "c", "participant_id": name}
        | {"path": str(tmp_path / f"{name}.nii.gz")}
        for name in ("bad", "good")
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    config = quick_config.model_copy(update={"brain_extraction": "synthstrip"})
    done = preprocess_index(frame, tmp_path / "out", config, workers=0)
    assert done.finished == 1
    (failure,) = done.failures
    assert (failure.participant, failure.step, failure.kind) == (
        "c/bad", "brain-extraction", "tool",
    )  # fmt: skip
    assert "mri_synthstrip left no usable mask" in failure.reason
    (sidecar,) = (tmp_path / "out").rglob("*desc-preproc_T1w.json")
    record = read_json(sidecar)
    assert record["brain_source"] == "synthstrip"
    assert record["steps"][0]["method"] == "synthstrip"
