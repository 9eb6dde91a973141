"""Preprocessed scans are taken as a whole folder, with those that failed, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from neurofm.cohorts.index import read_index, write_index
from neurofm.cohorts.phantom import write_phantom_cohort
from neurofm.cohorts.readers import index_sources
from neurofm.commands.embed import embed
from neurofm.config import PhantomConfig
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import TableError
from neurofm.files import write_json
from neurofm.inference.derivatives import open_derivatives, refuse_preprocessed
from neurofm.inference.embed import embed_sources
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import save_weights
from neurofm.preprocess.batch import preprocess_index
from neurofm.preprocess.contract import Contract, contract_of
from neurofm.store.packing import pack

HEAD = "path,participant,step,kind,reason\n"


def write_weights(folder: Path, tiny_recipe: Recipe, contract: Contract) -> Path:
    card = Card(
        encoder=tiny_recipe.encoder, features=16, spacing_mm=6.0,
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
        recipe=tiny_recipe.model_dump(mode="json"),
    )  # fmt: skip
    state = build_encoder(tiny_recipe.encoder, seed=1).state_dict()
    save_weights(folder, {f"encoder.{name}": tensor for name, tensor in state.items()}, card)
    return folder


def judge(derivatives: Path, verdicts: list[str]) -> None:
    path = derivatives / "index.parquet"
    write_index(read_index(path).assign(verdict=verdicts), path)


@pytest.fixture(scope="module")
def place(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS folder of one phantom, raw/phantoms, and what neurofm preprocess makes of it."""
    folder = tmp_path_factory.mktemp("place")
    config = PhantomConfig(participants=1, spacing_mm=4.0, stripped=True, repeat_fraction=0)
    write_phantom_cohort(folder / "raw" / "phantoms", config, seed=1)
    frame = index_sources([folder / "raw" / "phantoms"]).frame
    preprocess_index(frame, folder / "derivatives", tiny_recipe.preprocess, workers=0)
    return folder


def test_scans_that_failed_are_rows_with_the_reason_they_failed_for(
    tiny_recipe: Recipe,
    derivatives: Path,
    fake: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge(derivatives, ["fail", "pass", "fail", "warn", "pass"])
    failures = (
        "/raw/0.nii.gz,fake/p00,quality,quality,brain too small; look at it\n"
        "/raw/sub-9_ses-2_run-1_T1w.nii.gz,fake/sub-9,registration,unusable,no overlap\n"
        "/raw/again.nii.gz,fake/p00_s0,read,truncated,ends early\n"
    )
    (derivatives / "failures.csv").write_text(HEAD + failures)
    weights = write_weights(tmp_path / "w", tiny_recipe, fake.contract())
    output = tmp_path / "e.parquet"
    assert embed([derivatives], weights=str(weights), output=output) == 1
    printed = capsys.readouterr()
    assert "3 scans embedded" in printed.out
    assert "unusable /raw/sub-9_ses-2_run-1_T1w.nii.gz: no overlap" in printed.err
    assert "have no row" not in printed.err
    table = pd.read_parquet(output).set_index("scan_id")
    assert table["reason"].dropna().to_dict() == {
        "fake_p00_s0": "brain too small; look at it",
        "fake_p01_s0": "failed its quality checks",
        "fake_sub-9_ses-2_run-1": "no overlap",
        "fake_p00_s0_2": "ends early",
    }
    assert table["embedding"].isna().equals(table["reason"].notna())
    assert table.loc["fake_sub-9_ses-2_run-1", ["participant_id", "session_id"]].tolist() == [
        "sub-9", "ses-2"
    ]  # fmt: skip


def test_derivatives_in_which_every_scan_failed_are_rows_too(
    tiny_recipe: Recipe, derivatives: Path, fake: SimpleNamespace, tmp_path: Path
) -> None:
    path = derivatives / "index.parquet"
    write_index(read_index(path).iloc[:0], path)
    (derivatives / "failures.csv").write_text(f"{HEAD}/raw/0.nii.gz,fake/p00,read,missing,gone\n")
    weights = write_weights(tmp_path / "w", tiny_recipe, fake.contract())
    done = embed_sources([derivatives], weights, tmp_path / "e.parquet")
    assert (done.scans, len(done.failures)) == (0, 1)
    assert pd.read_parquet(tmp_path / "e.parquet")["reason"].tolist() == ["gone"]


def test_a_damaged_list_of_failures_is_one_line(derivatives: Path) -> None:
    for text in ("", "path,reason\na,b\n"):
        (derivatives / "failures.csv").write_text(text)
        with pytest.raises(TableError, match=r"failures.csv: cannot be read .*writes it again"):
            open_derivatives(derivatives)


def test_the_index_of_derivatives_or_a_store_stands_for_its_folder(
    tiny_recipe: Recipe, derivatives: Path, fake: SimpleNamespace, tmp_path: Path
) -> None:
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    weights = write_weights(tmp_path / "w", tiny_recipe, fake.contract())
    for folder in (derivatives, tmp_path / "store"):
        tables = []
        for source in (folder, folder / "index.parquet"):
            output = tmp_path / f"{folder.name}_{source.name}.csv"
            assert embed_sources([source], weights, output).scans == 5
            tables.append(output.read_text())
        assert tables[0] == tables[1]


def test_a_part_of_derivatives_is_not_preprocessed_again(
    tiny_recipe: Recipe, place: Path, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "w", tiny_recipe, contract_of(tiny_recipe.preprocess))
    whole = place / "derivatives"
    (image,) = whole.rglob("*_desc-preproc_T1w.nii.gz")
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    unfinished = Path(shutil.copytree(whole, tmp_path / "unfinished"))
    (unfinished / "index.parquet").unlink()
    (tmp_path / "turboprep").mkdir()
    renamed = shutil.copy(image, tmp_path / "turboprep" / "normalized.nii.gz")
    sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
    shutil.copy(sidecar, tmp_path / "turboprep" / "normalized.json")
    listed = tmp_path / "list.csv"
    listed.write_text(f"participant_id,path\na,{image}\n")
    indexes = [folder / "index.parquet" for folder in (whole, other)]
    raw = place / "raw" / "phantoms"
    for sources in (
        [image], [whole / "phantoms"], [image.parent], [whole, other], indexes, [unfinished],
        [Path(renamed)], [tmp_path / "turboprep"], [listed], [raw, image], [raw, whole],
    ):  # fmt: skip
        with pytest.raises(TableError, match=r"preprocessed.*folder neurofm preprocess wrote"):
            embed_sources(sources, weights, tmp_path / "e.parquet")
    assert embed_sources([whole], weights, tmp_path / "e.parquet").scans == 1


def test_raw_scans_are_raw_wherever_they_lie(place: Path) -> None:
    (scan,) = (place / "raw").rglob("*_T1w.nii.gz")
    write_json(scan.with_name(scan.name.replace(".nii.gz", ".json")), {"EchoTime": 0.003})
    inside = Path(shutil.copytree(place / "raw", place / "derivatives" / "raw"))
    within = Path(shutil.copytree(place / "derivatives", place / "raw" / "phantoms" / "derived"))
    try:
        raw = [scan, scan.parent, place / "raw" / "phantoms", inside, place / "absent.nii.gz"]
        refuse_preprocessed(raw)
        with pytest.raises(TableError, match="holds scans that neurofm preprocessed"):
            refuse_preprocessed([*raw, within / "phantoms"])
    finally:
        shutil.rmtree(inside)
        shutil.rmtree(within)
