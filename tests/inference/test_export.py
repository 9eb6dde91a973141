"""An ONNX file gives what PyTorch gives, for any batch, and tells nothing of this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurofm.commands.export import export
from neurofm.config.encoders import EncoderConfig, ResNetConfig, ViTConfig
from neurofm.errors import ConfigError, MissingDependencyError, RunError
from neurofm.inference.export import brain_like, deviation_of, export_weights
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.head import HeadCard, build_head, predictions
from neurofm.models.onnx_file import run_onnx
from neurofm.models.weights import load_encoder, load_head, save_weights

AGE = HeadCard(target="age_years", kind="regression", mean=50.0, spread=10.0)
STAGE = HeadCard(target="diagnosis", kind="multiclass", classes=("H", "MCI", "AD"))
RESNET = ResNetConfig(widths=(4, 8, 8, 16))
GROUPS = ResNetConfig(widths=(4, 8, 8, 16), norm="group", norm_groups=4)
VIT = ViTConfig(width=12, depth=2, heads=2, patch_voxels=(5, 8, 8))


def write_weights(
    folder: Path, config: EncoderConfig, head: HeadCard | None, spacing_mm: float = 6.0
) -> Path:
    tensors = build_encoder(config, seed=1, spacing_mm=spacing_mm).state_dict()
    state = {f"encoder.{name}": tensor for name, tensor in tensors.items()}
    if head:
        linear = build_head(config.features, head.outputs, 1).state_dict()
        state |= {f"head.{name}": tensor for name, tensor in linear.items()}
    card = Card(
        encoder=config, features=config.features, spacing_mm=spacing_mm, head=head,
        contract_fingerprint="0123456789abcdef", source=str(folder), participant_salt="salt",
    )  # fmt: skip
    save_weights(folder, state, card)
    return folder


@pytest.mark.parametrize(
    ("config", "head"),
    [(RESNET, None), pytest.param(GROUPS, STAGE, marks=pytest.mark.slow), (VIT, AGE)],
    ids=["resnet", "group", "vit"],
)
def test_a_file_gives_what_pytorch_gives_for_any_batch(
    config: EncoderConfig, head: HeadCard | None, tmp_path: Path
) -> None:
    import onnx

    weights, path = write_weights(tmp_path / "w", config, head), tmp_path / "a.onnx"
    done = export_weights(weights, path)
    assert max(done.deviations) < 1e-5
    volumes = torch.cat([brain_like(6.0), torch.randn(2, 1, 25, 32, 32)])
    found = run_onnx(path, volumes)
    features = load_encoder(weights)(volumes)
    assert deviation_of(features.numpy(), found[0]) <= 1e-4
    names = ["embedding"]
    if head is AGE:
        names.append("prediction")
        said = predictions(load_head(weights)(features), head)
        assert deviation_of(said.numpy(), found[1]) <= 1e-4
    elif head:
        names.append("logits")
        assert deviation_of(load_head(weights)(features).numpy(), found[1]) <= 1e-4
    model = onnx.load(path)
    assert [each.name for each in model.graph.output] == names == list(done.outputs)
    batch, *shape = [each.dim_param or each.dim_value
                     for each in model.graph.input[0].type.tensor_type.shape.dim]  # fmt: skip
    assert isinstance(batch, str)
    assert shape == [1, 25, 32, 32]
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["a.onnx"]


def test_a_file_says_what_it_was_made_of_and_nothing_of_this_machine(tmp_path: Path) -> None:
    import onnx

    weights, path = write_weights(tmp_path / "w", RESNET, STAGE), tmp_path / "a.onnx"
    assert export(weights, output=path) == 0
    facts = {each.key: each.value for each in onnx.load(path).metadata_props}
    card = Card.model_validate_json((weights / "card.json").read_text())
    assert facts["weights_sha256"] == card.weights_sha256
    assert facts["contract_fingerprint"] == "0123456789abcdef"
    assert facts["spacing_mm"] == "6"
    assert facts["classes"] == '["H", "MCI", "AD"]'
    data = path.read_bytes()
    for word in (str(tmp_path), "site-packages", ".py", "salt", "neurofm/"):
        assert word.encode() not in data, word


def test_a_file_that_differs_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = write_weights(tmp_path / "w", VIT, None)
    real = run_onnx
    monkeypatch.setattr(
        "neurofm.inference.export.run_onnx",
        lambda path, volumes: [each * np.float32(1.01) for each in real(path, volumes)],
    )
    with pytest.raises(RunError, match=r"embedding differs from PyTorch's by 0.01 of its largest"):
        export_weights(weights, tmp_path / "a.onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["w"]
    export_weights(weights, tmp_path / "a.onnx", tolerance=0.02)
    assert (tmp_path / "a.onnx").is_file()


def test_mistakes_are_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = write_weights(tmp_path / "w", VIT, None)
    with pytest.raises(RunError, match=r"another ending than .onnx"):
        export_weights(weights, tmp_path / "a.pt")
    with pytest.raises(ConfigError, match="no positive number"):
        export_weights(weights, tmp_path / "a.onnx", tolerance=0)
    (tmp_path / "a.onnx").write_bytes(b"mine")
    with pytest.raises(RunError, match="exists already"):
        export_weights(weights, tmp_path / "a.onnx")
    monkeypatch.setattr("neurofm.models.onnx_file.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'neurofm\[onnx\]'"):
        export_weights(weights, tmp_path / "b.onnx")


def test_the_difference_is_judged_by_the_largest_value() -> None:
    wanted = np.array([[10.0, 0.001]])
    assert deviation_of(wanted, wanted + 0.001) == pytest.approx(1e-4)
    assert deviation_of(wanted, wanted[:, :1]) == float("inf")
    assert deviation_of(wanted, wanted * np.nan) == float("inf")
    assert deviation_of(0 * wanted, 0 * wanted) == 0


@pytest.mark.slow
@pytest.mark.parametrize("config", [ResNetConfig(), ViTConfig()], ids=["resnet18", "vit-tiny"])
def test_at_full_size(config: EncoderConfig, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "w", config, AGE, 1.0)
    done = export_weights(weights, tmp_path / "a.onnx")
    assert max(done.deviations) <= 1e-4
