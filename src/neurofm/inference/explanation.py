"""A network's map of one scan, and the record of how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import JsonValue
from scipy.stats import rankdata
from torch import Tensor

from neurofm.config.encoders import ResNetConfig
from neurofm.config.knobs import Section
from neurofm.errors import ConfigError
from neurofm.inference.grad_cam import grad_cam_map, require_resnet
from neurofm.inference.gradients import integrated_gradients, require_captum
from neurofm.inference.occlusion import occlusion_map
from neurofm.inference.readout import (
    Answer,
    Network,
    answer_of,
    features_of,
    readout_of,
)
from neurofm.models.card import Card
from neurofm.progress import Progress

Method = Literal["occlusion", "gradients", "grad-cam"]
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_WORK = {"occlusion": "Occluding", "gradients": "Integrating", "grad-cam": "Grad-CAM"}


@dataclass(frozen=True)
class Asked:
    """How to explain.

    Attributes:
        method: of the map.
        class_name: the class that is explained; None for the likeliest.
        window_mm: side of the cube that occlusion hides.
        stride_mm: from one cube to the next.
        steps: gradients that are integrated.
        seed: of the random weights.
    """

    method: Method = "occlusion"
    class_name: str | None = None
    window_mm: float = 32.0
    stride_mm: float = 32.0
    steps: int = 32
    seed: int = 0

    def settings(self) -> dict[str, JsonValue]:
        """What the method depends on."""
        if self.method == "occlusion":
            return {"window_mm": self.window_mm, "stride_mm": self.stride_mm}
        return {"steps": self.steps} if self.method == "gradients" else {}


class Explanation(Section):
    """What the JSON beside a map says; nothing of it tells whose scan it is.

    Attributes:
        method: of the map.
        settings: that it depends on.
        explained: the number that is explained, in words.
        value: of the number, for the scan.
        prediction: a number in the target's unit, or the likeliest class; None without a head.
        class_name: whose log-odds are explained; None where there are no classes.
        probability: of that class.
        empty_value: of the number, for a volume that is 0 everywhere; where gradients start.
        unaccounted: `value` less `empty_value` less the sum of the map; of gradients only.
        spearman: rank correlation with the map of random weights, over the brain's voxels.
        spearman_absolute: the same for both maps without their signs.
        random_seed: of the random weights.
        weights_sha256: of the weights.
        contract: fingerprint of the preprocessing.
        software: versions that made the map.
    """

    method: Method
    settings: dict[str, JsonValue]
    explained: str
    value: float
    prediction: float | str | None
    class_name: str | None
    probability: float | None
    empty_value: float | None
    unaccounted: float | None
    spearman: float | None
    spearman_absolute: float | None
    random_seed: int
    weights_sha256: str
    contract: str
    software: dict[str, str]


@dataclass(frozen=True, eq=False)
class MapOfNetwork:
    """A map and what the network says.

    Attributes:
        image: (z, y, x); 0 outside the brain.
        answer: of the network.
        value: the number that is explained, for the scan.
        empty_value: the number for a volume that is 0 everywhere, where the method uses it.
    """

    image: Image
    answer: Answer
    value: float
    empty_value: float | None = None


def require_method(asked: Asked, card: Card) -> None:
    """Refuse, before any work, a method that cannot be used with these settings or this encoder.

    Raises:
        ConfigError: the encoder has no last stage of convolutions, or a setting makes no sense.
        MissingDependencyError: the library that a method needs is not installed.
    """
    if asked.method == "grad-cam":
        require_resnet(card.encoder)
    if asked.method == "gradients":
        require_captum()
        if asked.steps < 1:
            raise ConfigError(f"{asked.steps} steps integrate nothing", "32 are usual", "--steps")
    if not card.spacing_mm <= asked.stride_mm <= asked.window_mm:
        raise ConfigError(
            f"a stride of {asked.stride_mm:g} mm does not fit windows of {asked.window_mm:g} mm",
            f"from one voxel, {card.spacing_mm:g} mm, to the window's side", "--stride-mm",
        )  # fmt: skip


def map_of(
    network: Network,
    card: Card,
    asked: Asked,
    volume: Tensor,
    brain: Mask,
    *,
    progress: Progress,
    whose: str = "",
) -> MapOfNetwork:
    """The map of one network for one scan.

    Args:
        network: of the card, on the volume's device.
        card: of the weights.
        asked: how to explain.
        volume: (1, 1, depth, height, width), z-scored in the brain, 0 outside.
        brain: (z, y, x).
        progress: told about windows and steps.
        whose: said after the name of the work.
    """
    features = features_of(network, volume)
    answer = answer_of(network, card, features, asked.class_name)
    readout = readout_of(network, card, features, answer.class_name)
    value, empty = float(readout.read(features)), None
    what = f"{_WORK[asked.method]}{whose}"
    if asked.method == "occlusion":
        window, stride = (
            max(1, round(length / card.spacing_mm)) for length in (asked.window_mm, asked.stride_mm)
        )
        image = occlusion_map(
            readout,
            volume,
            brain,
            value,
            window=window,
            stride=stride,
            progress=progress,
            what=what,
        )
    elif asked.method == "gradients":
        image = integrated_gradients(readout, volume, asked.steps, progress, what)
        empty = float(readout.read(features_of(network, torch.zeros_like(volume))))
    else:
        assert isinstance(card.encoder, ResNetConfig)  # see require_method
        image = grad_cam_map(readout, volume, card.encoder.stem_stride)
    return MapOfNetwork(np.where(brain, image, np.float32(0)), answer, value, empty)


def spearman(first: Image, second: Image, brain: Mask, is_signed: bool = True) -> float | None:
    """Rank correlation of two maps over the brain; None where one is the same everywhere."""
    pair = [image[brain] if is_signed else np.abs(image[brain]) for image in (first, second)]
    if any(not values.size or np.ptp(values) == 0 for values in pair):
        return None
    return float(np.corrcoef(rankdata(pair[0]), rankdata(pair[1]))[0, 1])
