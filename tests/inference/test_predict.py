"""Predictions: what a head says of a scan, whether one model says it or several."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neurofm.commands.encoding_options import EncodingOptions
from neurofm.commands.predict import predict
from neurofm.config.encoders import ResNetConfig
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import ConfigError, ContractError, RunError, WeightsError
from neurofm.inference.embed import embed_sources
from neurofm.inference.predict import predict_sources
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.head import HeadCard, build_head
from neurofm.models.weights import save_weights
from neurofm.preprocess.contract import contract_of
from neurofm.store.packing import pack

TINY = ResNetConfig(widths=(4, 8, 8, 16))
AGE = HeadCard(target="age_years", kind="regression", mean=50.0, spread=10.0)
SEX = HeadCard(target="sex", kind="binary", classes=("F", "M"))
STAGE = HeadCard(target="diagnosis", kind="multiclass", classes=("H", "MCI", "AD"))


def write_weights(
    folder: Path, head: HeadCard | None, contract: Any, seed: int = 1, **changes: Any
) -> Path:
    encoder = build_encoder(TINY, seed=seed).state_dict()
    state = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    if head is not None:
        linear = build_head(16, head.outputs, seed).state_dict()
        state |= {f"head.{name}": tensor for name, tensor in linear.items()}
    card = Card(
        encoder=TINY, features=16, spacing_mm=6.0, head=head,
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
    )  # fmt: skip
    save_weights(folder, state, card.model_copy(update=changes))
    return folder


@pytest.fixture(scope="module")
def store(fake: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    pack(fake.write(folder / "derivatives", 4), folder / "store", StoreConfig(spacing_mm=6.0))
    return folder / "store"


def outputs_of(store: Path, weights: Path, head: HeadCard, seed: int = 1) -> torch.Tensor:
    """The head's outputs on the table that `embed` writes."""
    table = weights.parent / f"{weights.name}.parquet"
    embed_sources([store], weights, table)
    features = torch.from_numpy(np.stack(pd.read_parquet(table)["embedding"].to_list()))
    with torch.inference_mode():
        return torch.Tensor(build_head(16, head.outputs, seed)(features))


def test_a_number_is_the_head_on_the_embedding(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "w", AGE, fake.contract())
    done = predict_sources([store], [weights], tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet")
    expected = 50 + 10 * outputs_of(store, weights, AGE)[:, 0]
    assert done.scans == len(table) == 4
    assert table["prediction"].to_numpy() == pytest.approx(expected.numpy(), rel=1e-5)
    assert table["target"].eq("age_years").all()
    assert table["contract"].eq(fake.contract().fingerprint()).all()
    assert table["verdict"].eq("pass").all()
    assert "spread" not in table
    assert not {"path", "sha256", "image_path"} & set(table)


def test_classes_have_probabilities_and_the_likeliest_is_the_prediction(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    for head in (SEX, STAGE):
        weights = write_weights(tmp_path / head.target, head, fake.contract())
        output = tmp_path / f"{head.target}.csv"
        assert predict([store], weights=[weights], output=output) == 0
        table = pd.read_csv(output)
        shares = table[[f"probability_{name}" for name in head.classes]].to_numpy()
        assert shares.sum(axis=1) == pytest.approx(1.0)
        likeliest = [head.classes[place] for place in shares.argmax(axis=1)]
        assert table["prediction"].tolist() == likeliest
        outputs = outputs_of(store, weights, head)
        last = outputs.softmax(1)[:, -1] if head is STAGE else outputs.sigmoid()[:, 0]
        assert shares[:, -1] == pytest.approx(last.numpy(), rel=1e-4)


def test_several_weights_give_mean_and_spread(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    seeds = (1, 2, 3)
    members = [write_weights(tmp_path / f"w{n}", AGE, fake.contract(), n) for n in seeds]
    alone = []
    for number, member in enumerate(members):
        predict_sources([store], [member], tmp_path / f"{number}.parquet")
        alone.append(pd.read_parquet(tmp_path / f"{number}.parquet")["prediction"])
    predict_sources([store], members, tmp_path / "all.parquet")
    table = pd.read_parquet(tmp_path / "all.parquet")
    assert table["prediction"].to_numpy() == pytest.approx(np.mean(alone, axis=0), rel=1e-5)
    assert table["spread"].to_numpy() == pytest.approx(np.std(alone, axis=0, ddof=1), rel=1e-3)
    assert table["model"].str.split().map(len).eq(3).all()


def test_an_interval_reaches_as_far_as_validation_people_were_off(
    fake: SimpleNamespace, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = [tuple(float(each + more) for each in range(1, 20)) for more in (0, 10)]
    one, two = (
        write_weights(
            tmp_path / f"w{seed}", AGE.model_copy(update={"validation_scores": own}),
            fake.contract(), seed,
        )
        for seed, own in enumerate(scores)
    )  # fmt: skip
    for weights, reach in (([one], 18.0), ([one, two], 23.0)):
        output = tmp_path / f"{len(weights)}.csv"
        assert predict([store], weights=weights, output=output) == 0
        table = pd.read_csv(output)
        assert (table["prediction"] - table["low"]).to_numpy() == pytest.approx(reach, rel=1e-4)
        assert (table["high"] - table["prediction"]).to_numpy() == pytest.approx(reach, rel=1e-4)
        assert table["level"].eq(0.9).all()
        told = "intervals are wider than 0.9 needs" in capsys.readouterr().err
        assert told == (len(weights) == 2)


def test_an_ensemble_scored_on_the_same_people_reaches_as_far_as_its_own_mean_was_off(
    fake: SimpleNamespace, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Members that are off by n and by 2 - n: their mean is off by 1."""
    scores = [tuple(float(sign * each + more) for each in range(1, 20)) for sign, more in
              ((1, 0), (-1, 2))]  # fmt: skip
    members = [
        write_weights(
            tmp_path / f"w{seed}",
            AGE.model_copy(update={"validation_scores": own, "validation_people": "same"}),
            fake.contract(), seed,
        )
        for seed, own in enumerate(scores)
    ]  # fmt: skip
    assert predict([store], weights=list(map(str, members)), output=tmp_path / "p.csv") == 0
    table = pd.read_csv(tmp_path / "p.csv")
    assert (table["prediction"] - table["low"]).to_numpy() == pytest.approx(1.0, rel=1e-4)
    assert "wider" not in capsys.readouterr().err


def test_classes_have_a_set(fake: SimpleNamespace, store: Path, tmp_path: Path) -> None:
    wide = STAGE.model_copy(update={"validation_scores": (0.9999,) * 30})
    narrow = STAGE.model_copy(update={"validation_scores": (1e-4,) * 30})
    for name, head in (("wide", wide), ("narrow", narrow)):
        weights = write_weights(tmp_path / name, head, fake.contract())
        predict_sources([store], [weights], tmp_path / f"{name}.parquet", level=0.8)
    found = pd.read_parquet(tmp_path / "wide.parquet")
    assert found["set"].eq("H MCI AD").all()
    assert found["level"].eq(0.8).all()
    found = pd.read_parquet(tmp_path / "narrow.parquet")
    assert found["set"].equals(found["prediction"])


def test_without_enough_validation_people_there_is_no_interval_but_a_reason(
    fake: SimpleNamespace, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = AGE.model_copy(update={"validation_scores": (1.0, 2.0)})
    none = SEX
    for name, head, message in (
        ("few", few, "a level of 0.9 needs 9 validation participants, the weights have 2"),
        ("none", none, "No sets: the weights keep no scores of validation people"),
    ):
        weights = write_weights(tmp_path / name, head, fake.contract())
        output = tmp_path / f"{name}.parquet"
        assert predict([store], weights=[weights], output=output) == 0
        assert message in " ".join(capsys.readouterr().err.split())
        table = pd.read_parquet(output)
        assert table.filter(["low", "high", "set"]).isna().all(axis=None)
        assert table["prediction"].notna().all()


def test_a_level_that_is_no_share_is_refused(tmp_path: Path) -> None:
    for level in (0.0, 1.0, 90.0):
        with pytest.raises(ConfigError, match="--interval"):
            predict_sources([tmp_path], [tmp_path], tmp_path / "p.csv", level=level)


@pytest.mark.parametrize("head", [AGE, SEX])
def test_unusable_scans_are_rows_with_a_reason(
    tmp_path: Path, head: HeadCard, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(name="r")
    weights = write_weights(
        tmp_path / "w", head, contract_of(recipe.preprocess), recipe=recipe.model_dump(mode="json")
    )
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(bytes(5000))[:20])
    output = tmp_path / "p.parquet"
    scan = tmp_path / "cut.nii.gz"
    how = EncodingOptions(workers=0)
    assert predict([scan], weights=[str(weights)] * 2, output=output, how=how) == 1
    table = pd.read_parquet(output)
    assert len(table) == 1
    assert table.filter(regex="prediction|spread|probability|low|high|set").isna().all(axis=None)
    assert table["reason"].str.len().gt(10).all()
    assert "0 scans predicted" in capsys.readouterr().out


def test_weights_that_do_not_belong_together_are_refused(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    age = write_weights(tmp_path / "age", AGE, fake.contract())
    sex = write_weights(tmp_path / "sex", SEX, fake.contract())
    other = write_weights(tmp_path / "other", AGE, fake.contract("another"))
    for second, message in ((sex, "another target"), (other, "other preprocessing")):
        with pytest.raises(WeightsError, match=message):
            predict_sources([store], [age, second], tmp_path / "p.csv")
    with pytest.raises(ContractError, match="preprocessed differently"):
        predict_sources([store], [other], tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()


def test_an_encoder_without_a_head_and_a_wrong_table_are_refused(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    bare = write_weights(tmp_path / "bare", None, fake.contract())
    with pytest.raises(WeightsError, match="have no head"):
        predict_sources([store], [bare], tmp_path / "p.csv")
    with pytest.raises(RunError, match=r"use .parquet or .csv"):
        predict_sources([store], [bare], tmp_path / "p.xlsx")
    (tmp_path / "p.csv").write_bytes(b"mine")
    with pytest.raises(RunError, match="exists already"):
        predict_sources([store], [bare], tmp_path / "p.csv")


def test_a_contract_beside_a_csv_belongs_to_embeddings_and_does_not_matter(
    fake: SimpleNamespace, store: Path, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "w", AGE, fake.contract())
    (tmp_path / "p.contract.json").write_text("mine")
    assert predict_sources([store], [weights], tmp_path / "p.csv").scans == 4
    assert (tmp_path / "p.contract.json").read_text() == "mine"
