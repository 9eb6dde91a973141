from __future__ import annotations

from pathlib import Path

import pytest

from neurofm.config import PreprocessConfig
from neurofm.errors import ConfigError, ContractError
from neurofm.preprocess.contract import contract_of, read_contract, require_same, write_contract


def test_a_contract_comes_back_from_its_file(tmp_path: Path) -> None:
    contract = contract_of(PreprocessConfig(spacing_mm=3.0))
    write_contract(tmp_path, contract)
    assert read_contract(tmp_path) == contract
    assert read_contract(tmp_path).fingerprint() == contract.fingerprint()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"spacing_mm": 2.0}, "resampling"),
        ({"transform": "affine"}, "registration"),
        ({"bias_field_shrink": 1}, "bias-field"),
        ({"registration_spacing_mm": 3.0}, "registration"),
        ({"brain_extraction": "synthstrip"}, "brain-extraction"),
        ({"tissue": "synthseg"}, "tissue"),
    ],
)
def test_a_changed_knob_changes_the_contract_and_is_named(
    change: dict[str, object], named: str
) -> None:
    ours = contract_of(PreprocessConfig.model_validate(change))
    model = contract_of(PreprocessConfig())
    assert ours.fingerprint() != model.fingerprint()
    with pytest.raises(ContractError, match=f"step '{named}'"):
        require_same(ours, model)


def test_the_same_contract_is_accepted() -> None:
    require_same(contract_of(PreprocessConfig()), contract_of(PreprocessConfig()))


def test_a_folder_without_a_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="has no preprocessing.json"):
        read_contract(tmp_path)


def test_a_template_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such template"):
        contract_of(PreprocessConfig(template="/nowhere/t1.nii.gz"))
