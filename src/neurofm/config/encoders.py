"""Knobs of the encoders: the network that turns a volume into features h."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from neurofm.config.knobs import Section, knob

Side = Annotated[int, Field(ge=1)]


class ResNetConfig(Section):
    """A convolutional network: MONAI's 3D ResNet-18."""

    kind: Literal["resnet18"] = knob("resnet18", "-", "MONAI 3D ResNet-18, one channel (paper).")
    widths: tuple[Side, Side, Side, Side] = knob(
        (64, 128, 256, 512),
        "channels",
        "Channels of the four stages; the last is the feature size.",
    )
    stem_stride: int = knob(
        1, "voxels", "Stride of the 7x7x7 stem (released model: 1).", ge=1, le=2
    )
    norm: Literal["batch", "group"] = knob(
        "batch", "-", "Batch norm over all processes (paper), or group norm: each sample by itself."
    )
    norm_groups: int = knob(8, "groups", "Of channels, for group norm; divides the widths.", ge=1)

    @model_validator(mode="after")
    def _groups_divide(self) -> ResNetConfig:
        if self.norm == "group" and any(width % self.norm_groups for width in self.widths):
            raise ValueError("norm_groups has to divide every width")
        return self

    @property
    def features(self) -> int:
        """Width of the encoder's output."""
        return self.widths[-1]


class ViTConfig(Section):
    """A vision transformer over patches of the volume (section 3.2)."""

    kind: Literal["vit"] = knob("vit", "-", "3D vision transformer, one channel (paper).")
    width: int = knob(192, "features", "Of a token: Tiny 192, Base 768, Large 1024 (paper).", ge=6)
    depth: int = knob(12, "blocks", "Tiny and Base 12, Large 24 (paper).", ge=1)
    heads: int = knob(
        3, "heads", "Of attention; divides the width. Tiny 3, Base 12, Large 16 (paper).", ge=1
    )
    patch_voxels: tuple[Side, Side, Side] = knob(
        (25, 16, 16),
        "voxels (z, y, x)",
        "Divides the volume: 150x192x192 into 6x12x12 = 864 patches (paper).",
    )
    pool: Literal["mean", "class"] = knob(
        "mean", "-", "Features: the mean of all patch tokens, or the class token."
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> ViTConfig:
        if self.width % self.heads:
            raise ValueError("heads has to divide the width")
        return self

    @property
    def features(self) -> int:
        """Width of the encoder's output."""
        return self.width


class MonaiResNetConfig(Section):
    """A 3D ResNet that others trained, as MONAI builds it; recipes cannot ask for one."""

    kind: Literal["monai-resnet"] = knob("monai-resnet", "-", "MONAI 3D ResNet, one channel.")
    blocks: tuple[Side, Side, Side, Side] = knob(
        (2, 2, 2, 2), "blocks", "Of the four stages: (2, 2, 2, 2) for ResNet-18."
    )
    bottleneck: bool = knob(False, "-", "Blocks of three convolutions (ResNet-50) or of two.")
    widths: tuple[Side, Side, Side, Side] = knob(
        (64, 128, 256, 512), "channels", "Channels of the four stages."
    )
    stem_voxels: int = knob(7, "voxels", "Side of the first convolution's kernel.", ge=1)
    stem_stride: int = knob(1, "voxels", "Its stride (MONAI 1, MedicalNet 2).", ge=1, le=2)
    shortcut: Literal["A", "B"] = knob("B", "-", "Zero padding (A) or a 1x1x1 convolution (B).")
    shortcut_bias: bool = knob(True, "-", "Whether that convolution has a bias.")

    @property
    def features(self) -> int:
        """Width of the encoder's output."""
        return self.widths[-1] * (4 if self.bottleneck else 1)


def _kind(value: Any) -> Any:
    """Which encoder a section is of; recipes may leave out the paper's."""
    return value.get("kind", "resnet18") if isinstance(value, dict) else value.kind


EncoderConfig = Annotated[
    Annotated[ResNetConfig, Tag("resnet18")] | Annotated[ViTConfig, Tag("vit")],
    Discriminator(_kind),
]

# What a card can hold: also networks that neurofm uses but does not train.
CardEncoderConfig = Annotated[
    Annotated[ResNetConfig, Tag("resnet18")]
    | Annotated[ViTConfig, Tag("vit")]
    | Annotated[MonaiResNetConfig, Tag("monai-resnet")],
    Discriminator(_kind),
]
