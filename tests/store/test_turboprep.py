"""TurboPrep's results in a store of their own contract: what gets in, and whose weights take it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.commands.app import build_app
from neurofm.config import PreprocessConfig
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ConfigError, ContractError, StoreError, TableError
from neurofm.models.released_model import released_contract
from neurofm.preprocess.contract import contract_of, require_same
from neurofm.preprocess.turboprep import TurboPrepList, turboprep_contract
from neurofm.store.packing import pack
from neurofm.store.reader import open_store

CONFIG = StoreConfig(spacing_mm=6.0)
BACKGROUND = -4.0  # of the files in the fixture


def write_list(path: Path, results: Path, rows: list[dict[str, str]]) -> Path:
    for row in rows:
        for column in ("image_path", "mask_path"):
            row[column] = str(results / row[column])
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def row(folder: str, mask: str | None = None, **labels: str) -> dict[str, str]:
    files = {
        "image_path": f"{folder}/normalized.nii.gz",
        "mask_path": f"{mask or folder}/mask.nii.gz",
    }
    return files | labels


def test_turboprep_data_fits_the_released_weights_when_it_was_rigid() -> None:
    assert turboprep_contract("rigid") == released_contract()
    with pytest.raises(ContractError, match="step 'registration' is ants-synquick-affine"):
        require_same(turboprep_contract("affine"), released_contract())


def test_turboprep_data_is_refused_by_a_model_of_ours_and_ours_by_the_released() -> None:
    ours = contract_of(PreprocessConfig())
    with pytest.raises(ContractError, match="'brain-extraction' is synthstrip .*, not deepbet"):
        require_same(turboprep_contract("rigid"), ours)
    with pytest.raises(ContractError, match="step 'bias-field'"):
        require_same(ours, released_contract())


def test_a_store_of_turboprep_data_holds_its_voxels_labels_and_contract(
    turboprep_results: Path, tmp_path: Path
) -> None:
    rows = [
        row("sub-0", participant_id="007", session_id="a", cohort="clinic", age="60", group="x"),
        row("sub-1", participant_id="008", session_id="a", cohort="clinic", age="70", group="y"),
    ]
    listed = write_list(tmp_path / "list.csv", turboprep_results, rows)
    done = pack(TurboPrepList(listed, "rigid"), tmp_path / "store", CONFIG)
    assert (done.packed, done.failures) == (2, ())
    store = open_store(tmp_path / "store")
    assert store.contract == released_contract()
    assert store.index["participant_id"].tolist() == ["007", "008"]
    assert store.index["age_years"].tolist() == [60, 70]
    assert store.index["group"].tolist() == ["x", "y"]
    for number in (0, 1):
        offset, step = store.scale(number)
        image, mask = offset + step * store.image(number), store.mask(number)
        middle = tuple(np.argwhere(mask).mean(axis=0).round().astype(int))
        ramp = (number + 1) * (middle[0] * 6 + 12.5) / 192
        assert image[middle] == pytest.approx(ramp, abs=0.01)
        assert image[0, 0, 0] == pytest.approx(BACKGROUND, abs=0.01)
        # z y x; the second ball lies farther right and up, whatever its file's axes.
        centre = np.argwhere(mask).mean(axis=0) * 6 - np.array([68 - 2.5, 113 - 2.5, 95 - 2.5])
        assert centre[0] == pytest.approx((10, 12)[number], abs=0.6)
        assert centre[2] == pytest.approx((0, 4)[number], abs=0.6)
    again = pack(TurboPrepList(listed, "rigid"), tmp_path / "store", CONFIG)
    assert (again.packed, again.reused) == (0, 2)
    with pytest.raises(StoreError, match="holds a finished store of other scans or settings"):
        pack(TurboPrepList(listed, "affine"), tmp_path / "store", CONFIG)


def test_bad_rows_are_failures_and_the_others_go_on(
    turboprep_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row("sub-0", participant_id="good"),
        row("gone", participant_id="missing"),
        row("sub-1", "gone", participant_id="no mask"),
        row("fsl", participant_id="other grid"),
    ]
    listed = write_list(tmp_path / "list.csv", turboprep_results, rows)
    status = build_app()(
        ["pack", str(listed), "-o", str(tmp_path / "store"), "--spacing-mm", "6",
         "--prepared-by", "turboprep", "--transform", "rigid"],
        result_action="return_value",
    )  # fmt: skip
    assert status == 1
    with (tmp_path / "store" / "failures.csv").open(encoding="utf-8") as file:
        found = {line["participant"]: line for line in csv.DictReader(file)}
    kinds = {name.split("/")[1]: line["kind"] for name, line in found.items()}
    assert kinds == {"missing": "missing", "no mask": "mask", "other grid": "grid"}
    assert (
        "91x109x91 voxels, its preprocessing gives 193x229x193"
        in (found["list/other grid"]["reason"])
    )
    assert open_store(tmp_path / "store").index["participant_id"].tolist() == ["good"]
    assert len(capsys.readouterr().err.strip().splitlines()) >= 3


@pytest.mark.parametrize(("mask", "says"), [("empty", "empty"), ("moved", "lies elsewhere")])
def test_an_empty_mask_or_one_of_another_grid_is_a_failure(
    mask: str, says: str, turboprep_results: Path, tmp_path: Path
) -> None:
    rows = [row("sub-0", participant_id="good"), row("sub-1", mask, participant_id="bad")]
    listed = write_list(tmp_path / "list.csv", turboprep_results, rows)
    done = pack(TurboPrepList(listed, "rigid"), tmp_path / "store", CONFIG)
    assert [failure.participant for failure in done.failures] == ["list/bad"]
    assert says in done.failures[0].reason


def test_participants_are_not_guessed(turboprep_results: Path, tmp_path: Path) -> None:
    listed = write_list(tmp_path / "list.csv", turboprep_results, [row("sub-0"), row("sub-1")])
    with pytest.raises(TableError, match="no column 'participant_id'.*--one-scan-per-participant"):
        pack(TurboPrepList(listed, "rigid"), tmp_path / "store", CONFIG)
    once = TurboPrepList(listed, "rigid", one_scan_per_participant=True)
    done = pack(once, tmp_path / "store", CONFIG)
    assert "2 scans were taken for as many participants" in done.notes[0]
    index = open_store(tmp_path / "store").index
    assert index["participant_id"].tolist() == ["sub-0", "sub-1"]


def test_one_image_for_two_people_stops_before_work_starts(
    turboprep_results: Path, tmp_path: Path
) -> None:
    rows = [row("sub-0", participant_id="a"), row("sub-0", participant_id="b")]
    listed = write_list(tmp_path / "list.csv", turboprep_results, rows)
    with pytest.raises(TableError, match=r"same image stands in it 2 times \(list/a, list/b\)"):
        pack(TurboPrepList(listed, "rigid"), tmp_path / "store", CONFIG)
    assert not (tmp_path / "store").exists()


def test_a_list_without_masks_says_which_column_it_lacks(
    turboprep_results: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("participant_id,image_path,maskpath\n1,a,b\n")
    with pytest.raises(TableError, match="no column 'mask_path'; did you mean 'maskpath'"):
        pack(TurboPrepList(listed, "rigid"), tmp_path / "store", CONFIG)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prepared-by", "turboprep"], "--transform: is missing; say rigid"),
        (["--transform", "rigid"], "--transform: .*add --prepared-by turboprep"),
        (["--one-scan-per-participant"], "add --prepared-by turboprep"),
    ],
)
def test_options_that_do_not_go_together_are_named(
    options: list[str], message: str, tmp_path: Path
) -> None:
    command = ["pack", "list.csv", "-o", str(tmp_path / "store"), *options]
    with pytest.raises(ConfigError, match=message):
        build_app()(command, result_action="return_value")
