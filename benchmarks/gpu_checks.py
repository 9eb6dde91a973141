"""Equality on the device: views, loss, gradients, batch norm over processes, bf16 convolutions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from gpu_steps import Option, Stage, first_line, phantom_batch, release_memory
from torch import Tensor, nn

from neurofm.augment.views import make_views
from neurofm.config.learning import ViewsConfig
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.objectives.nt_xent import nt_xent

_CPU = torch.device("cpu")
_SMALL_GRID = (50, 64, 64)
_SAVINGS = {
    "checkpointed blocks": Saving(blocks=True),
    "streamed stem": Saving(stem=True),
    "stem and blocks": Saving(stem=True, blocks=True),
}


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: what is compared.
        difference: as its name says; not a number where the check could not be made.
        limit: the most that is right.
        remark: why it could not be made; else empty.
    """

    name: str
    difference: float
    limit: float
    remark: str = ""

    @property
    def verdict(self) -> str:
        """equal, DIFFERS or why there is none."""
        if self.remark:
            return self.remark
        return "equal" if self.difference <= self.limit else "DIFFERS"


def all_checks(stage: Stage) -> Iterator[Check]:
    """Every comparison in turn; one that fails to run says so and the next is made."""
    checks: list[tuple[str, float, Callable[[], float]]] = [
        ("views, device against CPU: largest rms difference, z units", 1e-3, lambda: _views(stage)),
        ("masks of views: share of voxels that differ", 1e-5, lambda: _masks(stage)),
        ("views made under bf16 autocast: largest difference", 0.0, lambda: _under_bf16(stage)),
        ("loss of 72 x 2 projections: relative to float64", 1e-5, lambda: _loss(stage)),
        ("batch norm over processes, one process: relative", 1e-5, lambda: _batch_norm(stage)),
        ("full-size stem convolution in bf16: relative rms to float32", 1e-2, lambda: _stem(stage)),
        ("gradient in float64, device against CPU", 1e-9, lambda: _gradient(stage)),
    ]
    for words, saving in _SAVINGS.items():
        name = f"gradient in float64, {words}, against the plain step"
        checks.append((name, 1e-9, partial(_saved, stage, saving)))
    for name, limit, measure in checks:
        release_memory(stage.device)
        try:
            yield Check(name, measure(), limit)
        except RuntimeError as error:
            yield Check(name, float("nan"), limit, first_line(error))


def _two_views(stage: Stage, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    batch = phantom_batch(replace(stage, device=_CPU), 2).to(device)
    views = (make_views(batch, ViewsConfig(), 0, view, stage.spacing_mm) for view in (0, 1))
    return [(each.images.cpu(), each.masks.cpu()) for each in views]


def _views(stage: Stage) -> float:
    pairs = zip(_two_views(stage, stage.device), _two_views(stage, _CPU), strict=True)
    rms = [(a - b).square().mean(dim=(1, 2, 3, 4)).sqrt() for (a, _), (b, _) in pairs]
    return float(torch.cat(rms).max())


def _masks(stage: Stage) -> float:
    pairs = zip(_two_views(stage, stage.device), _two_views(stage, _CPU), strict=True)
    return max(float((a != b).float().mean()) for (_, a), (_, b) in pairs)


def _under_bf16(stage: Stage) -> float:
    plain = _two_views(stage, stage.device)
    with torch.autocast(stage.device.type, dtype=torch.bfloat16):
        under = _two_views(stage, stage.device)
    return max(float((a - b).abs().max()) for (a, _), (b, _) in zip(plain, under, strict=True))


def _loss(stage: Stage) -> float:
    z = torch.randn(2, 72, 64, generator=torch.Generator().manual_seed(0))
    given = nt_xent(*z.to(stage.device), 0.5).item()
    views = nn.functional.normalize(z.double().flatten(0, 1), dim=1)
    similarity = (views @ views.T / 0.5).fill_diagonal_(float("-inf"))
    partner = torch.arange(144).roll(72)
    expected = float(nn.functional.cross_entropy(similarity, partner))
    return abs(given - expected) / expected


def _batch_norm(stage: Stage) -> float:
    volumes = 3 + torch.randn(4, 8, 6, 7, 8, generator=torch.Generator().manual_seed(0))
    plain = nn.Sequential(nn.BatchNorm3d(8)).to(stage.device)
    shared = synchronise_batch_norm(copy.deepcopy(plain), stage.device)
    expected, given = (norm(volumes.to(stage.device)).detach() for norm in (plain, shared))
    return float((given - expected).norm() / expected.norm())


def _stem(stage: Stage) -> float:
    """Some cuDNN versions gave wrong bf16 volumes (pytorch issue 163539)."""
    stem = nn.Conv3d(1, 64, 7, padding=3, bias=False).to(stage.device)
    images = phantom_batch(stage, 1).images
    with torch.no_grad():
        expected = stem(images)
        with torch.autocast(stage.device.type, dtype=torch.bfloat16):
            given = stem(images).float()
        return float((given - expected).norm() / expected.norm())


def _gradient_of(stage: Stage, saving: Saving) -> Tensor:
    """Of the encoder's weights, in float64: three scans, features weighted at random."""
    recipe = Option("exact").recipe(stage, 3)
    encoder = build_encoder(recipe.encoder, saving=saving).double().to(stage.device)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 1, *stage.grid, generator=generator, dtype=torch.float64)
    features = encoder(images.to(stage.device))
    weights = torch.randn(features.shape, generator=generator, dtype=torch.float64)
    (features * weights.to(stage.device)).sum().backward()
    return torch.cat([each.grad.flatten().cpu() for each in encoder.parameters()])  # type: ignore[union-attr]


def _gradient(stage: Stage) -> float:
    small = _small(stage)
    expected = _gradient_of(replace(small, device=_CPU), Saving())
    return float((_gradient_of(small, Saving()) - expected).norm() / expected.norm())


def _saved(stage: Stage, saving: Saving) -> float:
    small = _small(stage)
    expected = _gradient_of(small, Saving())
    return float((_gradient_of(small, saving) - expected).norm() / expected.norm())


def _small(stage: Stage) -> Stage:
    grid = min(stage.grid, _SMALL_GRID)
    widths = {"widths": [16, 32, 64, 128], "stem_stride": 1}
    return replace(stage, grid=grid, sections={"encoder": widths})
