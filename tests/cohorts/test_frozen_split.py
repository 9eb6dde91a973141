"""A split on file is used again as it was, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from neurofm.cohorts.frozen_split import (
    FrozenSplit,
    apply_frozen,
    freeze,
    frozen_path,
    read_frozen,
    write_frozen,
)
from neurofm.cohorts.index import COLUMNS, read_index, write_index
from neurofm.commands.split import split
from neurofm.errors import ConfigError, LeakageError, TableError

SIDES = ("pretrain", "train", "held-out-train", "validation", "test", "unused")


@pytest.fixture
def index() -> pd.DataFrame:
    """Six people with two scans each, one of them unused although its person is not."""
    rows = [(f"c_{who}_{visit}", f"p{who}") for who in range(6) for visit in range(2)]
    frame = pd.DataFrame(rows, columns=["scan_id", "participant_id"])
    frame = frame.assign(cohort="c", path="x.nii", bytes=1, sha256=frame["scan_id"])
    frame = frame.reindex(columns=list(COLUMNS)).astype({"split": object})
    return frame.assign(split=[side for side in SIDES for _ in range(2)])


@pytest.fixture
def divided(index: pd.DataFrame) -> pd.DataFrame:
    return index.assign(split=index["split"].where(index["scan_id"] != "c_3_1", "unused"))


def test_a_split_comes_back_from_its_file_and_divides_the_index_alike(
    divided: pd.DataFrame, tmp_path: Path
) -> None:
    frozen = freeze(divided, {"seed": 0})
    assert frozen.participants == {f"c/p{who}": side for who, side in enumerate(SIDES)}
    assert frozen.scans == {"c_3_1": "unused"}
    path = frozen_path(tmp_path / "split.parquet")
    assert path.name == "split.split.json"
    write_frozen(frozen, path)
    again = read_frozen(path)
    assert again == frozen
    applied = apply_frozen(divided.assign(split=None), again)
    assert list(applied.frame["split"]) == list(divided["split"])
    assert applied.notes == ()


def test_who_is_missing_and_who_is_new_is_told(divided: pd.DataFrame) -> None:
    frozen = freeze(divided, {})
    changed = divided.assign(split=None).replace({"participant_id": {"p0": "p9"}})
    applied = apply_frozen(changed, frozen)
    assert list(applied.frame["split"][:3]) == ["unused", "unused", "train"]
    assert applied.notes == (
        "1 participants are not in the split: unused: c/p9",
        "1 participants of the split are not in the index: c/p0",
    )


def test_another_split_is_never_written_over(divided: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_frozen(freeze(divided, {}), path)
    write_frozen(freeze(divided, {}), path)
    with pytest.raises(TableError, match="holds another split; apply it with --frozen"):
        write_frozen(freeze(divided[2:], {}), path)


def test_a_changed_file_is_refused(divided: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_frozen(freeze(divided, {}), path)
    value = json.loads(path.read_text())
    value["participants"]["c/p4"] = "train"
    path.write_text(json.dumps(value))
    with pytest.raises(TableError, match="was changed after it was written"):
        read_frozen(path)
    value["participants"]["c/p4"] = "trian"
    path.write_text(json.dumps(value))
    with pytest.raises(ConfigError, match="participants.c/p4"):
        read_frozen(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_what_is_no_split_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(TableError, match="is no split of neurofm"):
        read_frozen(path)
    with pytest.raises(TableError, match="no such split"):
        read_frozen(tmp_path / "gone.json")


def test_a_file_that_now_stands_under_two_names_is_refused(divided: pd.DataFrame) -> None:
    """Case 87."""
    frozen = FrozenSplit(participants=freeze(divided, {}).participants)
    copied = divided.assign(split=None)
    copied.loc[copied["scan_id"] == "c_0_0", "sha256"] = "c_4_0"
    with pytest.raises(LeakageError, match="c/p0, c/p4: .* \\('pretrain' and 'test'\\)"):
        apply_frozen(copied, frozen)


def test_the_command_writes_the_split_and_applies_it_elsewhere(
    index: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "one.parquet", tmp_path / "two.parquet"
    write_index(index.assign(split=None), first)
    fewer = index.assign(split=None)[2:]
    write_index(fewer, second)
    halves = "split.held_out_fraction=0.5"
    assert split(first, halves, recipe="demo", output=tmp_path / "a.parquet") == 0
    file = tmp_path / "a.split.json"
    assert read_frozen(file).drawn_by["held_out_fraction"] == 0.5
    done = split(second, recipe="demo", output=tmp_path / "b.parquet", frozen=file)
    assert done == 0
    assert "1 participants of the split are not in the index: c/p0" in capsys.readouterr().err
    before = read_index(tmp_path / "a.parquet").set_index("scan_id")["split"]
    after = read_index(tmp_path / "b.parquet").set_index("scan_id")["split"]
    assert after.to_dict() == before[after.index].to_dict()
    with pytest.raises(TableError, match="holds another split"):
        split(first, halves, "seed=5", recipe="demo", output=tmp_path / "a.parquet")
