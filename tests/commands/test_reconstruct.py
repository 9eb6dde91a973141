"""`neurofm reconstruct`: from a store, from raw scans, and what it refuses."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from neurofm.commands.reconstruct import reconstruct
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import ConfigError, ContractError, RunError, TableError, WeightsError
from neurofm.inference.reconstruct import load_autoencoder, reconstruct_packed
from neurofm.models.card import Card
from neurofm.models.overlap import hash_participants
from neurofm.models.weights import save_weights
from neurofm.preprocess.contract import Contract, contract_of
from neurofm.store.packing import pack
from neurofm.store.reader import open_store
from neurofm.training.objective import build_objective

_MAE = {"kind": "mae", "decoder_width": 12, "decoder_depth": 1, "decoder_heads": 2}


def _recipe(**objective: object) -> Recipe:
    return check_recipe(
        {
            "name": "tiny",
            "preprocess": {"spacing_mm": 3},
            "store": {"spacing_mm": 6},
            "encoder": {"kind": "vit", "width": 12, "depth": 1, "heads": 2,
                        "patch_voxels": [5, 8, 8]},
            "objective": objective or _MAE,
        },
        where="a test",
    )  # fmt: skip


def _write_run(folder: Path, contract: Contract, recipe: Recipe, prefix: str = "") -> Path:
    card = Card(
        encoder=recipe.encoder,
        features=12,
        spacing_mm=6.0,
        contract=contract.model_dump(mode="json"),
        contract_fingerprint=contract.fingerprint(),
        recipe=recipe.model_dump(mode="json"),
        participant_salt="salt",
        participant_hashes=tuple(hash_participants(["fake/p00", "fake/p02"], "salt")),
    )
    state = build_objective(recipe, 6.0).state_dict()
    save_weights(folder, {n: t for n, t in state.items() if n.startswith(prefix)}, card)
    return folder


@pytest.fixture
def store(fake: SimpleNamespace, tmp_path: Path) -> Path:
    pack(fake.write(tmp_path / "derivatives", 6), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    return tmp_path / "store"


@pytest.fixture
def run(fake: SimpleNamespace, tmp_path: Path) -> Path:
    return _write_run(tmp_path / "run", fake.contract(), _recipe())


def test_a_picture_and_a_page_of_a_stores_scans_name_nobody(
    run: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reconstruct(run, output=tmp_path / "a.png", store=store, first=2) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"Reconstructions: {tmp_path / 'a.png'}\n"
    assert reconstruct(run, "fake_p01_s1", output=tmp_path / "a.html", store=store) == 0
    page = (tmp_path / "a.html").read_text()
    assert page.count("<tr><td>") == 1
    assert "mean image is of 2 scans" in page
    assert "fake" not in page
    assert str(tmp_path) not in page


def test_the_mean_image_is_of_the_participants_the_run_has_seen(run: Path, store: Path) -> None:
    found = reconstruct_packed(load_autoencoder(run), open_store(store), ["fake_p01_s0"], 0)
    assert found.averaged == 2
    (scan,) = found.scans
    assert scan.mean_image is not None
    assert 0 < scan.mean_image.all_patches < scan.nearest_visible.all_patches


def test_niftis_lie_where_the_scan_lies(
    run: Path, store: Path, tmp_path: Path, fake: SimpleNamespace
) -> None:
    reconstruct(
        run, "fake_p01_s0", output=tmp_path / "a.png", store=store, nifti=tmp_path / "nifti"
    )
    written = {path.name for path in (tmp_path / "nifti").iterdir()}
    stem = "fake_p01_s0"
    assert written == {f"{stem}_reconstruction.nii.gz", f"{stem}_error.nii.gz"}
    made, error = (
        nib.load(tmp_path / "nifti" / f"{stem}_{what}.nii.gz")
        for what in ("reconstruction", "error")
    )
    whole, mask = fake.scan(2)
    place = np.linalg.inv(whole.affine) @ made.affine
    x, y, z = np.rint(place[:3, 3]).astype(int)
    a, b, c = made.shape
    inside = mask.array[x : x + a, y : y + b, z : z + c]
    image = whole.array[x : x + a, y : y + b, z : z + c]
    original = made.get_fdata() - error.get_fdata()
    assert not original[~inside].any()
    expected = (image[inside] - image[inside].mean()) / image[inside].std()
    np.testing.assert_allclose(original[inside], expected, atol=2e-3)


def test_a_run_of_another_objective_is_refused(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    other = _write_run(tmp_path / "other", fake.contract(), _recipe(kind="simclr"))
    with pytest.raises(RunError, match="no masked autoencoder: its objective is simclr"):
        reconstruct(other, output=tmp_path / "a.png", store=store)


def test_an_encoder_without_its_decoder_is_refused(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    half = _write_run(tmp_path / "half", fake.contract(), _recipe(), prefix="encoder.")
    with pytest.raises(WeightsError, match="an encoder without its decoder"):
        reconstruct(half, output=tmp_path / "a.png", store=store)


def test_scans_of_another_contract_are_refused_unless_allowed(
    fake: SimpleNamespace, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _write_run(tmp_path / "other", fake.contract("another template"), _recipe())
    with pytest.raises(ContractError, match="preprocessed differently"):
        reconstruct(other, output=tmp_path / "a.png", store=store)
    with pytest.raises(ContractError, match="preprocessed differently"):
        reconstruct(other, "scan.nii.gz", output=tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
    picture = tmp_path / "a.png"
    assert reconstruct(other, output=picture, store=store, allow_other_preprocessing=True) == 0
    assert "Note: the scans were preprocessed differently" in capsys.readouterr().err


def test_a_scan_the_store_does_not_have_is_refused_and_the_nearest_named(
    run: Path, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match="did you mean 'fake_p01_s1'"):
        reconstruct(run, "fake_p01_s9", output=tmp_path / "a.png", store=store)
    for count in (0, -1):
        with pytest.raises(ConfigError, match="a picture shows 1 to 24"):
            reconstruct(run, output=tmp_path / "a.png", store=store, first=count)


def test_another_ending_or_no_scan_is_one_line_and_status_2(
    neurofm: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (["-o", "a.jpg"], "ConfigError: a.jpg: does not end in .png or .html; name the file so"),
        (["-o", "a.png"], "ConfigError: SCANS: no scan is given"),
    ):
        done = neurofm("reconstruct", run, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == 1


def test_a_raw_scan_that_cannot_be_used_is_told_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = _recipe()
    run = _write_run(tmp_path / "run", contract_of(recipe.preprocess), recipe)
    scan = tmp_path / "cut.nii.gz"
    scan.write_bytes(gzip.compress(np.random.default_rng(0).bytes(5000))[:2000])
    assert reconstruct(run, str(scan), output=tmp_path / "a.png") == 1
    assert "cut.nii.gz" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")  # made by deepbet
def test_a_raw_scan_is_preprocessed_and_reconstructed(shared: Path, tmp_path: Path) -> None:
    recipe = _recipe()
    run = _write_run(tmp_path / "run", contract_of(recipe.preprocess), recipe)
    scan = next(iter(sorted((shared / "scans" / "ixi10" / "T1").iterdir())))
    assert reconstruct(run, str(scan), output=tmp_path / "a.png") == 0
    assert (tmp_path / "a.png").stat().st_size > 20_000
