"""ResNets in MONAI's and MedicalNet's layout, and an adapter of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.networks.nets import ResNet

from neurofm.config.encoders import MonaiResNetConfig, ResNetConfig
from neurofm.errors import WeightsError
from neurofm.models.adapters import Adapted, Adapter, Origin, find_adapter
from neurofm.models.checkpoint_import import import_checkpoint
from neurofm.models.weights import load_encoder, load_weights

State = dict[str, torch.Tensor]
WIDTHS = (4, 4, 8, 8)
SHAPES = [
    # blocks, bottleneck, shortcut, bias: MONAI's default, then MedicalNet's 10, 18 and 50
    ((2, 2, 2, 2), False, "B", True),
    ((1, 1, 1, 1), False, "B", False),
    ((2, 2, 2, 2), False, "A", True),
    ((3, 4, 6, 3), True, "B", False),
]


def theirs(
    blocks: tuple[int, ...] = (1, 1, 1, 1), bottleneck: bool = False, shortcut: str = "B",
    bias: bool = False, *, stride: int = 2, channels: int = 1, head: bool = False,
) -> ResNet:  # fmt: skip
    torch.manual_seed(0)
    network = ResNet(
        "bottleneck" if bottleneck else "basic", list(blocks), list(WIDTHS), 3, channels,
        conv1_t_size=7, conv1_t_stride=stride, shortcut_type=shortcut, bias_downsample=bias,
        feed_forward=head, num_classes=3,
    )  # fmt: skip
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    return network.eval()


def saved(path: Path, network: ResNet, prefix: str = "module.", drop: str = "?") -> Path:
    state = {f"{prefix}{n}": t for n, t in network.state_dict().items() if not n.endswith(drop)}
    torch.save({"state_dict": state}, path)
    return path


@pytest.mark.parametrize(("blocks", "bottleneck", "shortcut", "bias"), SHAPES)
def test_a_resnet_of_any_depth_gives_what_monai_gives(
    tmp_path: Path, blocks: tuple[int, ...], bottleneck: bool, shortcut: str, bias: bool
) -> None:
    stride = 1 if (shortcut, bias) == ("B", True) else 2
    network = theirs(blocks, bottleneck, shortcut, bias, stride=stride)
    report = import_checkpoint(saved(tmp_path / "r.pth", network), tmp_path / "w")
    assert report.is_complete
    assert report.adapter == ("monai-resnet" if stride == 1 else "medicalnet")
    volume = torch.randn(2, 1, 20, 24, 22)
    with torch.inference_mode():
        assert torch.equal(load_encoder(tmp_path / "w")(volume), network(volume))


def test_medicalnet_is_named_with_citation_and_terms_and_no_contract(tmp_path: Path) -> None:
    import_checkpoint(saved(tmp_path / "r.pth", theirs()), tmp_path / "w")
    card = load_weights(tmp_path / "w").card
    assert "Med3D" in card.citation
    assert "MIT" in card.terms
    assert card.contract is None
    assert isinstance(card.encoder, MonaiResNetConfig)
    assert card.encoder.stem_stride == 2
    assert card.features == WIDTHS[-1]


def test_layers_for_another_task_are_left_out_and_named(tmp_path: Path) -> None:
    report = import_checkpoint(saved(tmp_path / "r.pth", theirs(head=True)), tmp_path / "w")
    assert report.left_out == ("fc.weight", "fc.bias")
    assert report.is_complete


def test_counters_of_batches_may_be_absent_but_nothing_else(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.pth", theirs(), drop="num_batches_tracked")
    assert import_checkpoint(path, tmp_path / "w").is_complete
    short = saved(tmp_path / "short.pth", theirs(), drop="layer3.0.bn2.running_var")
    with pytest.raises(WeightsError, match="1 missing .encoder.layer3.0.bn2.running_var"):
        import_checkpoint(short, tmp_path / "w2")


def test_the_stride_that_weights_do_not_tell_follows_the_adapter(tmp_path: Path) -> None:
    path = saved(tmp_path / "r.pth", theirs())
    import_checkpoint(path, tmp_path / "w", adapter="monai-resnet")
    encoder = load_weights(tmp_path / "w").card.encoder
    assert isinstance(encoder, MonaiResNetConfig)
    assert encoder.stem_stride == 1


def test_what_is_no_network_for_one_channel_in_3d_is_refused(tmp_path: Path) -> None:
    colour = saved(tmp_path / "rgb.pth", theirs(channels=3))
    with pytest.raises(WeightsError, match=r"rgb.pth: its network takes 3 channels"):
        import_checkpoint(colour, tmp_path / "w")
    flat = {n: t[..., 0] if t.ndim == 5 else t for n, t in theirs().state_dict().items()}
    torch.save(flat, tmp_path / "flat.pth")
    with pytest.raises(WeightsError, match="not that of a 3D ResNet"):
        import_checkpoint(tmp_path / "flat.pth", tmp_path / "w")


def test_unknown_layouts_and_adapters_are_refused_with_those_there_are(tmp_path: Path) -> None:
    torch.save({"patch_embed.weight": torch.zeros(3)}, tmp_path / "vit.pth")
    with pytest.raises(WeightsError, match=r"0 names match.*adapters: 3d-neuro-simclr, medicalnet"):
        import_checkpoint(tmp_path / "vit.pth", tmp_path / "w")
    with pytest.raises(WeightsError, match="no adapter is called 'brainy'"):
        find_adapter({}, "brainy")
    assert not (tmp_path / "w").exists()


def test_an_adapter_of_ones_own_reads_other_names(tmp_path: Path) -> None:
    network = theirs((2, 2, 2, 2), bias=True, stride=1)
    config = ResNetConfig(widths=WIDTHS)
    state = {f"backbone/{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(state, tmp_path / "own.pth")

    def adapt(found: State) -> Adapted:
        named = {n.replace("backbone/", "encoder."): t for n, t in found.items()}
        return Adapted(config, named, Origin("Ours.", "here", "Us 2026.", "CC0"))

    own = Adapter("own", lambda found: True, adapt)
    assert import_checkpoint(tmp_path / "own.pth", tmp_path / "w", adapter=own).is_complete
    assert load_weights(tmp_path / "w").card.citation == "Us 2026."
