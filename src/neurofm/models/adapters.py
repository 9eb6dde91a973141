"""Foreign checkpoints: how their tensors become an encoder's, and what is known of their scans.

An adapter is one object that recognises a layout of names and says what it is; everything else
(reading safely, comparing name by name, the card) is the same for all. See docs/foreign-weights.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from neurofm.config.encoders import MonaiResNetConfig, ResNetConfig
from neurofm.errors import WeightsError
from neurofm.models import released_model
from neurofm.models.card import CohortCount
from neurofm.models.monai_names import config_of_names
from neurofm.preprocess.contract import Contract

State: TypeAlias = Mapping[str, Tensor]

# Layers for the makers' own task, which an encoder does without.
_HEADS = ("fc.", "conv_seg.")


@dataclass(frozen=True)
class Origin:
    """What is known of foreign weights, for their card.

    Attributes:
        description: one sentence for a reader.
        source: where they are published.
        citation: what to cite.
        terms: under which terms they may be used.
        spacing_mm: of the volumes they are given.
        contract: the preprocessing of the scans they were trained on; None where none is known.
        cohorts: what they were trained on.
    """

    description: str
    source: str
    citation: str
    terms: str
    spacing_mm: float = 1.0
    contract: Contract | None = None
    cohorts: tuple[CohortCount, ...] = ()


@dataclass(frozen=True, eq=False)
class Adapted:
    """A checkpoint's tensors under neurofm's names.

    Attributes:
        encoder: the network they belong to.
        state: "encoder.*", and "projector.*" where the checkpoint has one.
        origin: what is known of them.
        has_projector: whether a SimCLR projector is expected beside the encoder.
        left_out: names of layers for another task.
    """

    encoder: ResNetConfig | MonaiResNetConfig
    state: State
    origin: Origin
    has_projector: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Adapter:
    """One layout of foreign checkpoints.

    Attributes:
        name: what a user calls it.
        recognises: whether tensors by their plain names are of this layout.
        adapt: renames them and says what they are.
    """

    name: str
    recognises: Callable[[State], bool]
    adapt: Callable[[State], Adapted]


def find_adapter(state: State, name: str | None = None) -> Adapter:
    """The adapter of this name, or the first that recognises the tensors.

    Raises:
        WeightsError: no adapter has this name, or none recognises them.
    """
    known = ", ".join(each.name for each in ADAPTERS)
    if name is not None:
        for adapter in ADAPTERS:
            if adapter.name == name:
                return adapter
        raise WeightsError(f"no adapter is called '{name}'", f"there are: {known}")
    for adapter in ADAPTERS:
        if adapter.recognises(state):
            return adapter
    shown = ", ".join(list(state)[:3])
    raise WeightsError(
        f"0 names match: no adapter knows this layout ({len(state)} tensors: {shown}, ...)",
        f"this is another architecture's checkpoint; adapters: {known}",
    )


def _released(state: State) -> Adapted:
    origin = Origin(
        released_model.DESCRIPTION, released_model.SOURCE, released_model.CITATION,
        released_model.TERMS, released_model.SPACING_MM, released_model.released_contract(),
        released_model.COHORTS,
    )  # fmt: skip
    return Adapted(ResNetConfig(), state, origin, has_projector=True)


def _monai(state: State, stem_stride: int, origin: Origin) -> Adapted:
    left_out = tuple(name for name in state if name.startswith(_HEADS))
    kept = {name: tensor for name, tensor in state.items() if name not in left_out}
    return Adapted(
        config_of_names(kept, stem_stride),
        {f"encoder.{name}": tensor for name, tensor in kept.items()},
        origin,
        left_out=left_out,
    )


def _is_released(state: State) -> bool:
    return any(name.startswith("encoder.layer1.") for name in state) or all(
        name.startswith(("encoder.", "projector.")) for name in state
    )


def _is_resnet(state: State) -> bool:
    return "conv1.weight" in state and "layer1.0.conv1.weight" in state


def _is_medicalnet(state: State) -> bool:
    """MONAI's own shortcuts have a bias unless asked otherwise, MedicalNet's never."""
    return _is_resnet(state) and "layer2.0.downsample.0.bias" not in state


_MEDICALNET = Origin(
    description="3D ResNet of MedicalNet, pre-trained on segmentation of 23 medical data sets.",
    source="https://github.com/Tencent/MedicalNet",
    citation=(
        "Chen S, Ma K, Zheng Y. Med3D: Transfer Learning for 3D Medical Image Analysis. "
        "arXiv:1904.00625, 2019."
    ),
    terms="As published by the authors (their code: MIT); read the terms at the source before use.",
)
_MONAI = Origin(
    description="3D ResNet in MONAI's layout, of unknown training.",
    source="not known: MONAI's layout",
    citation="",
    terms="Not known: read those of whoever published the weights.",
)

ADAPTERS: Sequence[Adapter] = (
    Adapter("3d-neuro-simclr", _is_released, _released),
    Adapter("medicalnet", _is_medicalnet, lambda state: _monai(state, 2, _MEDICALNET)),
    Adapter("monai-resnet", _is_resnet, lambda state: _monai(state, 1, _MONAI)),
)
