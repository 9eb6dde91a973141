from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from neurofm.cohorts.failures import Failure, write_failures
from neurofm.cohorts.index import COLUMNS, write_index
from neurofm.commands.quality import quality
from neurofm.config import PreprocessConfig
from neurofm.errors import ContractError
from neurofm.preprocess.contract import contract_of, write_contract


@pytest.fixture
def derivatives(tmp_path: Path) -> Path:
    folder = tmp_path / "derivatives"
    write_contract(folder, contract_of(PreprocessConfig(spacing_mm=6)))
    write_index(pd.DataFrame(columns=[*COLUMNS, "image_path"]), folder / "index.parquet")
    failure = Failure("/data/anna.nii.gz", "c/anna", "read", "missing", "is not there")
    write_failures([failure], folder / "failures.csv")
    return folder


def test_the_command_counts_verdicts_and_writes_the_page(
    derivatives: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quality(derivatives) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 scans: 0 pass, 0 look, 0 fail, 1 no result\n")
    assert "anna" in (derivatives / "quality.html").read_text()


def test_a_page_to_share_has_another_name_and_no_ids(derivatives: Path) -> None:
    assert quality(derivatives, without_ids=True) == 0
    assert not (derivatives / "quality.html").exists()
    assert "anna" not in (derivatives / "quality-without-ids.html").read_text()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="neurofm preprocess"):
        quality(tmp_path)
