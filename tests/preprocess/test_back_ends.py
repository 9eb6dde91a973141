from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS
from neurofm.config import PreprocessConfig
from neurofm.errors import ConfigError, MissingDependencyError
from neurofm.preprocess.back_ends import back_end_versions, require_back_ends
from neurofm.preprocess.batch import preprocess_index

Play = Callable[[str, str], Path]


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
