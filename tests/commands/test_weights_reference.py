"""What --weights names is found, told of, or refused in one line, whatever the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurofm.commands.app import main
from neurofm.commands.weights_reference import folder_of

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
