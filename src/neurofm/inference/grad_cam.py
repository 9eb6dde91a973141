"""Grad-CAM by MONAI: where a ResNet's last features raise a number (Selvaraju et al. 2017)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 # torch's own abbreviation
from torch import Tensor

from neurofm.config.encoders import CardEncoderConfig, ResNetConfig
from neurofm.errors import ConfigError
from neurofm.inference.readout import Readout

_HALVINGS = 4  # the max pool and three stages


def require_resnet(config: CardEncoderConfig) -> None:
    """Refuse an encoder that has no last stage of convolutions.

    Raises:
        ConfigError: it is a transformer.
    """
    if not isinstance(config, ResNetConfig):
        mend = "say --method occlusion or gradients"
        raise ConfigError(
            "needs the paper's ResNet; these weights are of another network", mend, "grad-cam"
        )


def grad_cam_map(readout: Readout, volume: Tensor, stem_stride: int) -> npt.NDArray[np.float32]:
    """The last stage's features, each weighted by the number's mean gradient; nothing negative.

    Gradients are taken through the last stage only, so a map costs little more than a prediction.

    Args:
        readout: of a ResNet, (1, 1, depth, height, width) to (1, 1).
        volume: z-scored in the brain, 0 outside.
        stem_stride: of the encoder.

    Returns:
        (z, y, x), interpolated between places 16 stem strides apart.
    """
    from monai.visualize.class_activation_maps import GradCAM

    last_stage = readout.get_submodule("encoder.layer4")
    last = f"encoder.layer4.{len(list(last_stage.children())) - 1}"
    stride = stem_stride * 2**_HALVINGS
    camera = GradCAM(
        readout, last,
        upsampler=lambda shape: lambda found: at_voxels(found, stride, tuple(shape)),
        postprocessing=lambda found: found,
    )  # fmt: skip
    last_stage.requires_grad_(True)
    with torch.enable_grad():
        found = camera(volume, class_idx=0)
    last_stage.requires_grad_(False)
    return np.asarray(found[0, 0].detach().cpu().numpy(), dtype=np.float32)


def at_voxels(places: Tensor, stride: int, shape: tuple[int, ...]) -> Tensor:
    """A volume of features (1, 1, z, y, x), the first at voxel 0 and the others a stride apart.

    Beyond the last of them the volume goes on as it is there.
    """
    spans = [(count - 1) * stride + 1 for count in places.shape[2:]]
    between = F.interpolate(places, size=spans, mode="trilinear", align_corners=True)
    beyond = [max(0, size - span) for size, span in zip(shape, spans, strict=True)]
    z, y, x = beyond
    whole = F.pad(between, (0, x, 0, y, 0, z), mode="replicate")
    return whole[..., : shape[0], : shape[1], : shape[2]]
