"""From raw simulated scans to predictions: killed and gone on with, by command and from Python."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import neurofm
from neurofm.cohorts.phantom import write_phantom_cohort
from neurofm.commands.encoding_options import EncodingOptions
from neurofm.commands.predict import predict
from neurofm.config import PhantomConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import ContractError, ScanError
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.head import HeadCard, build_head
from neurofm.models.population import fit_population, population_tensors
from neurofm.models.weights import save_weights
from neurofm.preprocess.contract import contract_of

AGE = HeadCard(
    target="age_years", kind="regression", mean=50, spread=10,
    validation_scores=tuple(float(each) for each in range(1, 20)),
)  # fmt: skip


@pytest.fixture(scope="module")
def weights(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, contract = tmp_path_factory.mktemp("weights"), contract_of(tiny_recipe.preprocess)
    encoder, head = build_encoder(tiny_recipe.encoder, seed=1), build_head(16, 1)
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    noise = np.random.default_rng(0).uniform(size=(40, 16))
    card = Card(
        encoder=tiny_recipe.encoder, features=16, spacing_mm=6.0, head=AGE,
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
        recipe=tiny_recipe.model_dump(mode="json"),
    )  # fmt: skip
    save_weights(folder, {**state, **population_tensors(fit_population(noise))}, card)
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS folder of three brains, one scan each."""
    folder = tmp_path_factory.mktemp("raw") / "phantoms"
    config = PhantomConfig(participants=3, spacing_mm=4.0, stripped=True, repeat_fraction=0)
    write_phantom_cohort(folder, config, seed=1)
    return folder


@pytest.fixture(scope="module")
def work(weights: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a command leaves that was killed after its first scan."""
    folder = tmp_path_factory.mktemp("work")
    command = [sys.executable, "-m", "neurofm", "predict", str(scans), "--weights", str(weights)]
    command += ["-o", str(folder / "p.csv"), "--work", str(folder / "work"), "--workers", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    patience = time.monotonic() + 300
    while not _sidecars(folder) and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return folder / "work"


def _sidecars(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*_T1w.json")}


@pytest.mark.slow
def test_a_killed_command_goes_on_and_python_says_the_same(
    tiny_recipe: Recipe, weights: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    before = _sidecars(work)
    assert 0 < len(before) < 3
    assert not (work.parent / "p.csv").exists()
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    how = EncodingOptions(work=work, workers=0)
    assert predict([scans], weights=[weights], output=first, how=how) == 0
    after = _sidecars(work)
    assert len(after) == 3
    assert all(after[path] == when for path, when in before.items())
    table = pd.read_csv(first)
    assert len(table) == 3
    assert (
        table[["prediction", "low", "high", "distance", "distance_percentile"]]
        .notna()
        .all(axis=None)
    )
    assert table["verdict"].isin(["pass", "warn", "fail"]).all()
    assert (table["high"] - table["low"]).to_numpy() == pytest.approx(36.0, rel=1e-4)
    kept = {path: path.stat().st_mtime_ns for path in (work / ".embeddings").iterdir()}
    assert predict([scans], weights=[weights], output=again, how=how) == 0
    assert again.read_bytes() == first.read_bytes()
    assert _sidecars(work) == after
    assert {path: path.stat().st_mtime_ns for path in (work / ".embeddings").iterdir()} == kept
    frame = neurofm.predict(scans, weights, work=work, workers=0)
    assert frame["prediction"].to_numpy() == pytest.approx(table["prediction"], rel=1e-6)
    frame = neurofm.predict(work, [weights, weights], interval=0.5)
    assert frame["prediction"].to_numpy() == pytest.approx(table["prediction"], rel=1e-6)
    assert frame["level"].eq(0.5).all()
    embedded = neurofm.embed([work], str(weights))
    assert embedded["embedding"].map(len).eq(16).all()
    assert embedded.attrs["notes"] == []
    other = contract_of(tiny_recipe.preprocess.model_copy(update={"bias_field_shrink": 3}))
    (work / "preprocessing.json").write_text(other.model_dump_json())
    with pytest.raises(ContractError, match="step 'bias-field'"):
        neurofm.embed(work, weights)


@pytest.mark.slow
def test_a_transformer_prepares_each_scan_once(weights: Path, scans: Path, tmp_path: Path) -> None:
    paths = sorted(scans.rglob("*_T1w.nii.gz"))[:2]
    step = neurofm.EmbeddingTransformer(weights, work=tmp_path / "work", workers=0)
    first = step.fit_transform([str(paths[1]), str(paths[0]), str(paths[1])])
    assert first.shape == (3, 16)
    assert (first[0] == first[2]).all()
    assert (first[0] != first[1]).any()
    for path in (tmp_path / "work").iterdir():
        if path.is_file():
            path.unlink()
    again = step.transform(pd.Series(paths))
    assert (again == first[[1, 0]]).all()
    assert not (tmp_path / "work" / "index.parquet").exists()
    alone = neurofm.embed(paths[0], weights, workers=0)["embedding"][0]
    assert alone == pytest.approx(first[1], rel=1e-5)


def test_unusable_scans_are_named_in_one_error(weights: Path, scans: Path, tmp_path: Path) -> None:
    for name in ("cut", "empty"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"cut" if name == "cut" else b"")
    step = neurofm.EmbeddingTransformer(weights, workers=0)
    with pytest.raises(ScanError, match=r"2 scans cannot.*cut.nii.gz \(.*empty.nii.gz \("):
        step.fit_transform([tmp_path / "cut.nii.gz", tmp_path / "empty.nii.gz"])
    with pytest.raises(ScanError, match=r"1 scans cannot.*gone.nii.gz \(no such file"):
        step.fit_transform([tmp_path / "cut.nii.gz", tmp_path / "gone.nii.gz"])
