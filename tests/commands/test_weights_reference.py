"""What --weights names is found, told of, or refused in one line, whatever the command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from neurofm.commands.app import main
from neurofm.commands.weights_reference import folder_of
from neurofm.config.preparation import StoreConfig
from neurofm.store.packing import pack

REFERENCE = "hf://lab/brain"


@pytest.fixture
def commit(hub: Any, small_bundle: Path) -> str:
    from hub_stand_in import Repository  # type: ignore[import-not-found]

    hub.repositories["lab/brain"] = Repository()
    files = {path.name: path.read_bytes() for path in small_bundle.iterdir()}
    return str(hub.repositories["lab/brain"].commit(files))


def test_the_commit_that_is_used_is_told(
    commit: str, small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert folder_of(REFERENCE).name == commit
    printed = capsys.readouterr()
    assert f"Weights: {REFERENCE} at {commit}\n" in printed.err
    assert printed.out == ""
    assert folder_of(str(small_bundle)) == small_bundle
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "none.nii.gz", "-o", "e.parquet", "--weights"],
        ["embed", "none.csv", "-o", "e.csv", "--prepared-by", "turboprep", "--transform", "rigid",
         "--weights"],
        ["predict", "none.nii.gz", "-o", "p.csv", "--weights"],
        ["explain", "none.nii.gz", "-o", "maps", "--weights"],
        ["train", "finetune-simclr", "--store", "none", "-o", "run", "--weights"],
        ["export", "-o", "a.txt"],
    ],
    ids=["embed", "turboprep", "predict", "explain", "train", "export"],
)  # fmt: skip
def test_what_is_known_of_foreign_weights_is_told_before_the_work(
    medicalnet: Path, neurofm: Any, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(medicalnet.parent)
    done = neurofm(*arguments, medicalnet)
    where, coverage, cite, terms, *others = done.stderr.splitlines()
    assert where.startswith(f"Weights: {medicalnet} as imported in ")
    assert re.fullmatch(
        r"Weights: medicalnet: \d+ tensors loaded, 0 missing, 0 unexpected", coverage
    )
    assert cite.startswith("Cite: Chen S")
    assert terms.startswith("Terms: As published")
    assert others, "the work failed after that"
    assert done.returncode in (1, 2)


def test_weights_are_evaluated_with_their_citation_shown(
    medicalnet: Path, fake: Any, tmp_path: Path, neurofm: Any
) -> None:
    pack(fake.write(tmp_path / "derivatives", 2), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    done = neurofm("evaluate", "simclr-paper", "--store", tmp_path / "store", "-o",
                   tmp_path / "out", "--weights", f"theirs={medicalnet}")  # fmt: skip
    assert "\nCite: Chen S" in done.stderr
    assert "ContractError: the store is at 6 mm" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "scan.nii.gz", "-o", "e.parquet", "--weights", "hf://lab/none"],
        ["predict", "scan.nii.gz", "-o", "p.csv", "--weights", "hf://lab/none"],
        ["doctor", "--weights", "hf://lab/none"],
        ["doctor", "scan.nii.gz", "--weights", "hf://lab/none"],
        ["bundle", "hf://lab/none", "-o", "bundle"],
        ["train", "finetune-simclr", "--store", "s", "-o", "run", "--weights", "hf://lab/none"],
    ],
)
def test_a_command_refuses_what_is_not_there_in_one_line(
    commit: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.argv", ["neurofm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("WeightsError: hf://lab/none: is not on the hub, or is private")
    assert error.count("\n") == 1
