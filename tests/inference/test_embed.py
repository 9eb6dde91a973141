from __future__ import annotations

import gzip
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neurofm.commands.embed import embed
from neurofm.commands.encoding_options import EncodingOptions
from neurofm.config.preparation import PreprocessConfig, StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import ContractError, RunError
from neurofm.inference.computing import choose_computing
from neurofm.inference.distances import with_distances
from neurofm.inference.embed import embed_sources, preprocessing_of, require_fitting
from neurofm.models.card import Card
from neurofm.models.embeddings import join_embeddings, read_embeddings
from neurofm.models.encoder import build_encoder
from neurofm.models.population import fit_population, population_tensors
from neurofm.models.released_model import released_contract
from neurofm.models.weights import load_weights, save_weights
from neurofm.preprocess.contract import Contract, contract_of
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack

RECIPE = check_recipe(
    {
        "name": "tiny",
        "preprocess": {"spacing_mm": 3},
        "store": {"spacing_mm": 6},
        "encoder": {"widths": [4, 8, 8, 16]},
    },
    where="a test",
)
STORE = StoreConfig(spacing_mm=6.0)


def card(contract: Contract, recipe: Recipe | None = RECIPE, spacing_mm: float = 6.0) -> Card:
    return Card(
        encoder=RECIPE.encoder,
        features=16,
        spacing_mm=spacing_mm,
        contract=contract.model_dump(mode="json"),
        contract_fingerprint=contract.fingerprint(),
        recipe=None if recipe is None else recipe.model_dump(mode="json"),
    )


def write_weights(folder: Path, of: Card) -> Path:
    state = build_encoder(RECIPE.encoder, seed=1).state_dict()
    save_weights(folder, {f"encoder.{name}": tensor for name, tensor in state.items()}, of)
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "weights", card(contract_of(RECIPE.preprocess)))


def test_a_packed_store_needs_no_preprocessing(fake: SimpleNamespace, tmp_path: Path) -> None:
    pack(fake.write(tmp_path / "derivatives", 4), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    weights = write_weights(tmp_path / "weights", card(fake.contract()))
    done = embed_sources([tmp_path / "store"], weights, tmp_path / "e.parquet")
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert done.scans == len(table) == 4
    assert np.isfinite(np.stack(table["embedding"].to_list())).all()
    assert table["contract"].eq(fake.contract().fingerprint()).all()


def test_derivatives_need_no_preprocessing_and_give_what_their_store_gives(
    derivatives: Path, fake: SimpleNamespace, tmp_path: Path
) -> None:
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    weights = write_weights(tmp_path / "weights", card(fake.contract()))
    for source, output in ((derivatives, "d.csv"), (tmp_path / "store", "s.parquet")):
        done = embed_sources([source], weights, tmp_path / output)
        assert (done.scans, done.failures) == (5, ())
    (ours, of_files), (theirs, of_store) = (
        read_embeddings(tmp_path / name) for name in ("d.csv", "s.parquet")
    )
    assert ours["scan_id"].tolist() == theirs["scan_id"].tolist()
    assert of_files == pytest.approx(of_store, rel=1e-3, abs=1e-4)
    assert ours["verdict"].eq("pass").all()
    assert {"distance", "distance_percentile", "contract", "model", "reason"} <= set(ours)
    joined, _ = join_embeddings([tmp_path / "d.csv"])
    assert len(joined) == 5


def test_derivatives_of_another_contract_are_refused(
    derivatives: Path, fake: SimpleNamespace, tmp_path: Path
) -> None:
    """Case 104."""
    other = write_weights(tmp_path / "other", card(fake.contract("another template")))
    with pytest.raises(ContractError, match="preprocessed differently"):
        embed_sources([derivatives], other, tmp_path / "e.parquet")
    done = embed_sources([derivatives], other, tmp_path / "e.csv", allow_other_contract=True)
    assert any("preprocessed differently" in note for note in done.notes)


def test_a_derivative_that_cannot_be_read_is_a_row_with_a_reason(
    derivatives: Path, fake: SimpleNamespace, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "weights", card(fake.contract()))
    (derivatives / "fake" / "scan01_T1w.nii.gz").unlink()
    (derivatives / "fake" / "scan02_mask.nii.gz").write_bytes(b"cut")
    work = tmp_path / "work"
    done = embed_sources([derivatives], weights, tmp_path / "e.parquet", work=work)
    assert (done.scans, len(done.failures)) == (3, 2)
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert table["reason"].notna().tolist() == [False, True, True, False, False]
    assert table["embedding"].isna().tolist() == [False, True, True, False, False]


def test_what_was_encoded_is_kept_with_the_work_and_found_again(
    derivatives: Path, fake: SimpleNamespace, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "weights", card(fake.contract()))
    work = tmp_path / "work"
    embed_sources([derivatives], weights, tmp_path / "1.parquet", work=work)
    kept = sorted((work / ".embeddings").iterdir())
    assert len(kept) == 5
    for path in kept:
        np.save(path, np.full(16, 7.0, dtype=np.float32))
    embed_sources([derivatives], weights, tmp_path / "2.parquet", work=work)
    assert (read_embeddings(tmp_path / "2.parquet")[1] == 7).all()
    state = build_encoder(RECIPE.encoder, seed=2).state_dict()
    tensors = {f"encoder.{name}": tensor for name, tensor in state.items()}
    save_weights(tmp_path / "others", tensors, card(fake.contract()))
    embed_sources([derivatives], tmp_path / "others", tmp_path / "3.parquet", work=work)
    assert (read_embeddings(tmp_path / "3.parquet")[1] != 7).all()


class Stopped(SilentProgress):
    """Stops the work after some scans, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.left, self.done_before = after, 0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.done_before = done

    def advance(self, count: int = 1, note: str = "") -> None:
        self.left -= count
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_packed_store_goes_on_where_it_was_stopped(fake: SimpleNamespace, tmp_path: Path) -> None:
    store, work, whole = (tmp_path / name for name in ("store", "work", "whole.parquet"))
    pairs = choose_computing("cpu", batch_size=2)
    pack(fake.write(tmp_path / "derivatives", 5), store, StoreConfig(spacing_mm=6.0))
    weights = write_weights(tmp_path / "weights", card(fake.contract()))
    embed_sources([store], weights, whole, computing=pairs)
    first, again = tmp_path / "1.parquet", Stopped(5)
    with pytest.raises(KeyboardInterrupt):
        embed_sources([store], weights, first, work=work, computing=pairs, progress=Stopped(3))
    kept = {path: path.stat().st_mtime_ns for path in (work / ".embeddings").iterdir()}
    assert len(kept) == 2
    embed_sources([store], weights, first, work=work, computing=pairs, progress=again)
    assert again.done_before == 4
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert first.read_bytes() == whole.read_bytes()


def test_features_of_a_store_are_kept_for_its_content_and_the_weights(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    work, weights = tmp_path / "work", write_weights(tmp_path / "w", card(fake.contract()))
    for count in (3, 4):
        pack(fake.write(tmp_path / f"d{count}", count), tmp_path / f"s{count}", STORE)
    embed_sources([tmp_path / "s3"], weights, tmp_path / "1.parquet", work=work)
    (kept,) = (work / ".embeddings").iterdir()
    np.save(kept, np.full((3, 16), 7.0, dtype=np.float32))
    embed_sources([tmp_path / "s3"], weights, tmp_path / "2.parquet", work=work)
    assert (read_embeddings(tmp_path / "2.parquet")[1] == 7).all()
    state = build_encoder(RECIPE.encoder, seed=2).state_dict()
    tensors = {f"encoder.{name}": tensor for name, tensor in state.items()}
    save_weights(tmp_path / "others", tensors, card(fake.contract()))
    for number, store, model in ((3, "s3", "others"), (4, "s4", "w")):
        output = tmp_path / f"{number}.parquet"
        embed_sources([tmp_path / store], tmp_path / model, output, work=work)
        assert (read_embeddings(output)[1] != 7).all()


def test_scans_of_the_training_population_are_near_and_other_images_far(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    """A pattern that differs a little between people; its negative, and plain noise."""
    contract, encoder = fake.contract(), build_encoder(RECIPE.encoder, seed=1).eval()
    volumes = {name: _volumes(name) for name in ("train", "new", "negative", "noise")}
    with torch.inference_mode():
        found = {name: encoder(each).numpy() for name, each in volumes.items()}
    population = fit_population(found["train"])
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    save_weights(tmp_path / "w", {**state, **population_tensors(population)}, card(contract))
    percentiles, loaded = {}, load_weights(tmp_path / "w")
    for name, each in found.items():
        table, notes = with_distances(
            pd.DataFrame(index=range(len(each))), [each, each], [loaded] * 2
        )
        percentiles[name] = table["distance_percentile"]
        assert not notes
    assert percentiles["new"].mean() == pytest.approx(50, abs=12)
    assert (percentiles["negative"] > 99).all()
    assert (percentiles["noise"] > 99).all()


def _volumes(kind: str) -> torch.Tensor:
    """Prepared volumes of 25 x 32 x 32: 140 to train, 40 of each other kind."""
    stream = np.random.default_rng(["train", "new", "negative", "noise"].index(kind))
    count = 140 if kind == "train" else 40
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (25, 32, 32)), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    shapes = []
    for _ in range(count):
        width = stream.normal(8, 0.5)
        image = np.cos(width * radius) + stream.normal(1, 0.1) * axes[0]
        image = image + stream.normal(0, 0.2, image.shape)
        if kind == "noise":
            image = stream.normal(size=image.shape)
        inside = radius < 0.9
        image = np.where(inside, (image - image[inside].mean()) / image[inside].std(), 0)
        shapes.append(-image if kind == "negative" else image)
    return torch.from_numpy(np.stack(shapes)[:, None].astype(np.float32))


def test_weights_without_a_population_leave_distances_empty_and_say_so(
    fake: SimpleNamespace, derivatives: Path, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "weights", card(fake.contract()))
    done = embed_sources([derivatives], weights, tmp_path / "e.parquet")
    assert any("No distances" in note for note in done.notes)
    assert pd.read_parquet(tmp_path / "e.parquet")["distance_percentile"].isna().all()


def test_a_store_of_another_contract_or_grid_is_refused(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    """Case 104."""
    pack(fake.write(tmp_path / "derivatives", 2), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    other = write_weights(tmp_path / "other", card(fake.contract("another template")))
    with pytest.raises(ContractError, match="preprocessed differently"):
        embed_sources([tmp_path / "store"], other, tmp_path / "e.parquet")
    finer = write_weights(tmp_path / "finer", card(fake.contract(), spacing_mm=3.0))
    with pytest.raises(ContractError, match="the weights need 3 mm"):
        embed_sources([tmp_path / "store"], finer, tmp_path / "e.parquet")
    assert not (tmp_path / "e.parquet").exists()


def test_unusable_scans_are_rows_with_a_reason_and_the_command_says_so(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = gzip.compress(np.random.default_rng(0).bytes(5000))
    (tmp_path / "cut.nii.gz").write_bytes(whole[:2000])
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    scans = [tmp_path / "cut.nii.gz", tmp_path / "empty.nii.gz"]
    how = EncodingOptions(workers=0)
    assert embed(scans, weights=str(weights), output=tmp_path / "e.parquet", how=how) == 1
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert len(table) == 2
    assert table["embedding"].isna().all()
    assert table["reason"].str.len().gt(10).all()
    printed = capsys.readouterr()
    assert "cut.nii.gz" in printed.err
    assert "empty.nii.gz" in printed.err
    assert "0 scans embedded" in printed.out


def test_a_table_of_another_form_is_refused_and_so_is_a_contract_beside_it(
    weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"use .parquet or .csv"):
        embed_sources([tmp_path], weights, tmp_path / "e.xlsx")
    (tmp_path / "e.contract.json").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        embed_sources([tmp_path], weights, tmp_path / "e.csv")


def test_an_existing_table_is_not_overwritten(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"mine")
    with pytest.raises(RunError, match="exists already"):
        embed_sources([tmp_path], weights, tmp_path / "e.parquet")
    assert (tmp_path / "e.parquet").read_bytes() == b"mine"


def test_a_table_that_cannot_be_written_is_told_before_any_work(
    weights: Path, tmp_path: Path
) -> None:
    """F3."""
    (tmp_path / "taken").write_bytes(b"")
    table, work = tmp_path / "taken" / "e.parquet", tmp_path / "work"
    with pytest.raises(RunError, match="its folder is a file"):
        embed_sources([tmp_path / "scan.nii.gz"], weights, table, work=work)
    assert not work.exists()


@pytest.mark.parametrize("name", ["e.parquet", "e.csv"])
def test_a_table_that_finds_no_room_is_one_line_and_leaves_no_half_file(
    neurofm: Any, fake: SimpleNamespace, tmp_path: Path, name: str
) -> None:
    """F1: a limit on the size of files acts as a full disk does; with room the command goes on."""
    store, weights, table = (tmp_path / each for each in ("store", "weights", name))
    pack(fake.write(tmp_path / "derivatives", 2), store, StoreConfig(spacing_mm=6.0))
    write_weights(weights, card(fake.contract()))
    before, (soft, hard) = sorted(tmp_path.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    for room, status in ((600, 2), (soft, 0)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            done = neurofm("embed", store, "--weights", weights, "-o", table)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert done.returncode == status, done.stderr
        if status:
            assert f"{name}: cannot be written (File too large); make room" in done.stderr
            assert "Traceback" not in done.stderr
            assert sorted(tmp_path.iterdir()) == before
    assert len(join_embeddings([table])[0]) == 2


def test_preprocessing_is_that_of_the_card() -> None:
    config, notes = preprocessing_of(card(contract_of(RECIPE.preprocess)))
    assert config == RECIPE.preprocess
    assert notes == ()


def test_another_preprocessing_goes_on_only_when_asked_and_says_so() -> None:
    of = card(released_contract())
    with pytest.raises(ContractError, match="step 'bias-field'.*--allow-other-preprocessing"):
        preprocessing_of(of)
    _, notes = preprocessing_of(of, allow_other_contract=True)
    assert "step 'bias-field'" in notes[0]


def test_neurofms_steps_stand_in_for_other_tools_where_the_card_takes_them() -> None:
    of = card(released_contract()).model_copy(update={"recipe": None, "takes_neurofm_steps": True})
    config, notes = preprocessing_of(of)
    assert config == PreprocessConfig()
    assert "in place of the weights' makers' own tools (step 'bias-field'" in notes[0]
    affine = contract_of(PreprocessConfig(transform="affine"))
    with pytest.raises(ContractError, match="registration|bias-field"):
        require_fitting(affine, 6.0, of, False)


def test_weights_that_do_not_say_get_the_defaults_with_a_note() -> None:
    of = card(contract_of(RECIPE.preprocess)).model_copy(update={"recipe": None, "contract": None})
    config, notes = preprocessing_of(of)
    assert config == Recipe(name="x").preprocess
    assert "do not say" in notes[0]


def test_a_contract_this_version_no_longer_keeps_is_refused(fake: SimpleNamespace) -> None:
    with pytest.raises(ContractError, match="preprocessed differently"):
        preprocessing_of(card(fake.contract("old")))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")  # made by deepbet
def test_a_raw_scan_has_the_embedding_it_would_have_from_a_store(
    weights: Path, shared: Path, tmp_path: Path
) -> None:
    scan = next(iter(sorted((shared / "scans" / "ixi10" / "T1").iterdir())))
    work = tmp_path / "work"
    done = embed_sources([scan], weights, tmp_path / "raw.parquet", work=work, workers=0)
    assert (done.scans, done.failures) == (1, ())
    pack(work, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    embed_sources([tmp_path / "store"], weights, tmp_path / "packed.parquet")
    raw, packed = (
        pd.read_parquet(tmp_path / f"{name}.parquet")["embedding"][0] for name in ("raw", "packed")
    )
    assert raw == pytest.approx(packed, rel=1e-3, abs=1e-4)
