from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.commands.app import build_app
from neurofm.config import PreprocessConfig
from neurofm.config.encoders import ResNetConfig
from neurofm.errors import ConfigError, ContractError
from neurofm.inference.turboprep import embed_turboprep
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.released_model import released_contract
from neurofm.models.weights import save_weights
from neurofm.preprocess.contract import Contract, contract_of
from neurofm.preprocess.turboprep import TurboPrepList

ENCODER = ResNetConfig(widths=(4, 8, 8, 16))


def write_weights(folder: Path, contract: Contract) -> Path:
    card = Card(
        encoder=ENCODER,
        features=16,
        spacing_mm=6.0,
        contract=contract.model_dump(mode="json"),
        contract_fingerprint=contract.fingerprint(),
    )
    state = build_encoder(ENCODER, seed=1).state_dict()
    save_weights(folder, {f"encoder.{name}": tensor for name, tensor in state.items()}, card)
    return folder


@pytest.fixture
def listed(turboprep_results: Path, tmp_path: Path) -> Path:
    """Two good rows, and one on another grid."""
    rows = [
        (folder, f"{turboprep_results}/{folder}/normalized.nii.gz",
         f"{turboprep_results}/{folder}/mask.nii.gz")
        for folder in ("sub-0", "fsl", "sub-1")
    ]  # fmt: skip
    path = tmp_path / "list.csv"
    pd.DataFrame(rows, columns=["participant_id", "image_path", "mask_path"]).to_csv(
        path, index=False
    )
    return path


def test_the_released_weights_take_turboprep_data_without_being_told_to(
    listed: Path, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "weights", released_contract())
    status = build_app()(
        ["embed", str(listed), "--weights", str(weights), "-o", str(tmp_path / "e.parquet"),
         "--prepared-by", "turboprep", "--transform", "rigid"],
        result_action="return_value",
    )  # fmt: skip
    assert status == 1
    table = pd.read_parquet(tmp_path / "e.parquet").set_index("participant_id")
    assert table["contract"].eq(released_contract().fingerprint()).all()
    assert table["reason"].isna().to_dict() == {"sub-0": True, "sub-1": True, "fsl": False}
    assert "91x109x91" in table.loc["fsl", "reason"]
    assert table.loc["fsl", "embedding"] is None
    features = np.stack([table.loc[name, "embedding"] for name in ("sub-0", "sub-1")])
    assert np.isfinite(features).all()
    assert not np.allclose(features[0], features[1])


def test_what_was_encoded_is_kept_with_the_work(listed: Path, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights", released_contract())
    given, work = TurboPrepList(listed, "rigid"), tmp_path / "work"
    embed_turboprep(given, weights, tmp_path / "1.parquet", work=work)
    (kept,) = (work / ".embeddings").iterdir()
    np.save(kept, np.full((2, 16), 7.0, dtype=np.float32))
    embed_turboprep(given, weights, tmp_path / "2.parquet", work=work)
    table = pd.read_parquet(tmp_path / "2.parquet")
    assert table["reason"].notna().sum() == 1
    assert (np.stack(table["embedding"].dropna().to_list()) == 7).all()


def test_weights_of_another_preprocessing_refuse_it_before_any_work(
    listed: Path, tmp_path: Path
) -> None:
    ours = write_weights(tmp_path / "ours", contract_of(PreprocessConfig()))
    released = write_weights(tmp_path / "released", released_contract())
    output = tmp_path / "e.parquet"
    with pytest.raises(ContractError, match="step 'brain-extraction' is synthstrip"):
        embed_turboprep(TurboPrepList(listed, "rigid"), ours, output)
    with pytest.raises(ContractError, match="step 'registration' is ants-synquick-affine"):
        embed_turboprep(TurboPrepList(listed, "affine"), released, output)
    assert not output.exists()


def test_only_one_table_is_taken(listed: Path, tmp_path: Path) -> None:
    command = ["embed", str(listed), str(listed), "--weights", "W", "-o", "e.parquet"]
    with pytest.raises(ConfigError, match="takes one table"):
        build_app()(
            [*command, "--prepared-by", "turboprep", "--transform", "rigid"],
            result_action="return_value",
        )
