"""What --weights names is found, told of, or refused in one line, whatever the command."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from neurofm.commands.app import main
from neurofm.commands.weights_reference import folder_of
from neurofm.config.preparation import StoreConfig
from neurofm.models.weights import WEIGHTS_FILE
from neurofm.store.packing import pack

REFERENCE = "hf://lab/brain"

DAMAGED: dict[str, bytes | None] = {
    "empty": b"", "cut off": None, "a web page": b"<!DOCTYPE html><html>",
    "an LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
}  # fmt: skip


class Payload:
    """Unpickled without care, it makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


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


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("kind", ["run", "bundle", "checkpoint"])
@pytest.mark.parametrize("command", ["embed", "predict"])
def test_damaged_weights_are_one_line_before_any_work(  # noqa: PLR0917
    neurofm: Any, small_bundle: Path, medicalnet: Path, tmp_path: Path, command: str, kind: str,
    content: bytes | None,
) -> None:  # fmt: skip
    """Case 97; None stands for half of the file."""
    weights = {"run": small_bundle, "bundle": small_bundle, "checkpoint": medicalnet}[kind]
    if kind == "run":
        for name in ("checksums.json", "golden.json", "MODEL_CARD.md"):
            (small_bundle / name).unlink()
    damaged = weights if kind == "checkpoint" else weights / WEIGHTS_FILE
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2] if content is None else content)
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    work = tmp_path / "work"
    done = neurofm(command, tmp_path / "scan.nii.gz", "--weights", weights, "--work", work,
                   "--workers", 0, "-o", tmp_path / "t.csv")  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("WeightsError: ")
    assert damaged.name in done.stderr
    assert done.stderr.count("\n") == 1
    assert not work.exists()
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("command", ["embed", "predict"])
def test_a_checkpoint_with_code_is_one_line_and_nothing_of_it_runs(
    neurofm: Any, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 99: nor is anything else tried."""
    monkeypatch.setenv("NEUROFM_CACHE", str(tmp_path / "cache"))
    canary, weights = tmp_path / "canary", tmp_path / "weights.pth"
    weights.write_bytes(pickle.dumps({"state_dict": Payload(canary)}, protocol=2))
    done = neurofm(command, "none.nii.gz", "--weights", weights, "-o", tmp_path / "t.csv")
    assert done.returncode == 2
    assert "none of it was run" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not canary.exists()
    assert not list(tmp_path.rglob(WEIGHTS_FILE))


@pytest.mark.parametrize("command", ["embed", "predict"])
def test_scans_of_another_preprocessing_are_one_line_unless_that_is_allowed(
    neurofm: Any, fake: Any, tmp_path: Path, command: str
) -> None:
    """Case 104."""
    pack(fake.write(tmp_path / "derivatives", 2), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    weights = fake.weights(tmp_path / "weights", fake.contract("another template"))
    words = (command, tmp_path / "store", "--weights", weights, "-o", tmp_path / "t.csv")
    done = neurofm(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("ContractError: the scans were preprocessed differently")
    assert "--allow-other-preprocessing" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "t.csv").exists()
    done = neurofm(*words, "--allow-other-preprocessing")
    assert done.returncode == 0, done.stderr
    assert "Note: the scans were preprocessed differently" in done.stderr
