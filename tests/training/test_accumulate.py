"""Gradients added up over parts of a batch are those of the whole batch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.learning import TrainingConfig, ViewsConfig
from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.data.batch import BadScan, Batch
from neurofm.errors import ConfigError
from neurofm.models.encoder import build_encoder
from neurofm.models.head import HeadCard, build_head
from neurofm.objectives.losses import Losses
from neurofm.objectives.supervised import Supervised
from neurofm.store.reader import Store
from neurofm.training.fit import pretrain
from neurofm.training.learner import Learner, Outcome
from neurofm.training.objective import build_objective, require_whole_parts
from neurofm.training.run_log import read_log

_SCANS = 12
_VIT = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(5, 8, 8))
_GROUP = ResNetConfig(widths=(4, 8, 8, 16), stem_stride=2, norm="group", norm_groups=4)
_STILL = ViewsConfig(
    min_crop_mm=(150, 192, 192),
    rotation_probability=0,
    intensity_shift_probability=0,
    gamma_probability=0,
)
_PARTS = pytest.mark.parametrize("parts", [2, 3, 4, 12])


def _mae() -> nn.Module:
    config = MAEConfig(decoder_width=18, decoder_depth=1, decoder_heads=3)
    recipe = Recipe(name="x", encoder=_VIT, objective=config, views=_STILL)
    return build_objective(recipe, 6.0)


def _supervised(kind: str = "binary", encoder: ViTConfig | ResNetConfig = _VIT) -> Supervised:
    classes = {"regression": (), "binary": ("F", "M"), "multiclass": ("H", "AD", "MCI")}[kind]
    task = HeadCard.model_validate({"target": "x", "kind": kind, "classes": classes, "mean": 1.0})
    values = {row: float(row % max(2, len(classes))) for row in range(_SCANS)}
    return Supervised(
        build_encoder(encoder, 0, spacing_mm=6.0),
        build_head(encoder.features, task.outputs, 0),
        task,
        values=values,
        class_weights=(0.5, 2.0, 0.7)[: len(classes)],
        views=_STILL,
        seed=0,
        spacing_mm=6.0,
    )


_OBJECTIVES = {
    "mae": _mae,
    "binary": _supervised,
    "three classes": lambda: _supervised("multiclass"),
    "number": lambda: _supervised("regression"),
    "group norm": lambda: _supervised(encoder=_GROUP),
}


def _batch(dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(_SCANS, 1, 25, 32, 32, generator=generator, dtype=torch.float64)
    masks = torch.zeros(images.shape, dtype=torch.bool)
    for row in range(_SCANS):  # more brain in one scan than in another
        masks[row, :, 4 : 8 + row, 6:25, 7:26] = True
    rows = tuple(range(_SCANS))
    return Batch(images.to(dtype), masks, rows, tuple(f"c/p{row}" for row in rows), 0, step=1)


def _step(name: str, parts: int, batch: Batch | None = None) -> tuple[Outcome, Tensor, nn.Module]:
    """One step with a rate of 0 and the gradient it found."""
    objective = _OBJECTIVES[name]().double()
    learner = Learner(objective, torch.optim.SGD(objective.parameters(), lr=0.0), parts=parts)
    outcome = learner.learn_from(batch or _batch())
    gradients = [each.grad.flatten() for each in objective.parameters() if each.grad is not None]
    return outcome, torch.cat(gradients), objective


@_PARTS
@pytest.mark.parametrize("name", list(_OBJECTIVES))
def test_the_gradient_is_that_of_the_whole_batch(name: str, parts: int) -> None:
    (_, expected, _), (_, given, _) = _step(name, 1), _step(name, parts)
    assert float((given - expected).norm() / expected.norm()) < 1e-10


@_PARTS
@pytest.mark.parametrize("name", list(_OBJECTIVES))
def test_loss_and_figures_are_those_of_the_whole_batch(name: str, parts: int) -> None:
    (expected, _, _), (given, _, _) = _step(name, 1), _step(name, parts)
    assert given.loss == pytest.approx(expected.loss, rel=1e-10)
    assert given.parts == pytest.approx(expected.parts, rel=1e-10)
    assert given.figures == pytest.approx(expected.figures, rel=1e-6)  # some are in float32
    assert given.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-10)


def test_with_batch_norm_it_would_be_another_gradient() -> None:
    gradients = []
    for parts in (1, 4):
        objective = _supervised(encoder=ResNetConfig(widths=(4, 8, 8, 16), stem_stride=2)).double()
        learner = Learner(objective, torch.optim.SGD(objective.parameters(), lr=0.0), parts=parts)
        learner.learn_from(_batch())
        every = [each.grad.flatten() for each in objective.parameters() if each.grad is not None]
        gradients.append(torch.cat(every))
    assert float((gradients[1] - gradients[0]).norm() / gradients[0].norm()) > 0.1


def test_bf16_is_for_each_part_what_it_is_for_the_batch() -> None:
    def bf16() -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16)

    outcomes = []
    for parts in (1, 3):
        objective = _mae()
        optimizer = torch.optim.SGD(objective.parameters(), lr=0.0)
        outcomes.append(
            Learner(objective, optimizer, bf16, parts).learn_from(_batch(torch.float32))
        )
    assert outcomes[1].loss == pytest.approx(outcomes[0].loss, rel=1e-3)
    assert outcomes[1].gradient_norm == pytest.approx(outcomes[0].gradient_norm, rel=2e-2)


def test_one_part_that_is_not_finite_leaves_all_as_it_was() -> None:
    batch = _batch()
    batch.images[7] = float("nan")
    objective = _supervised().double()
    before = {name: each.clone() for name, each in objective.state_dict().items()}
    view = Batch(batch.images, batch.masks, batch.rows, batch.items, 0)
    learner = Learner(objective, torch.optim.SGD(objective.parameters(), lr=1.0), parts=4)
    outcome = learner.learn_from(
        Batch(view.images, view.masks, view.rows, view.items, 0, views=(view,))
    )
    assert outcome.is_skipped
    after = objective.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_views_and_second_scans_are_cut_with_their_batch() -> None:
    whole = _batch()
    second = Batch(whole.images + 1, whole.masks, tuple(range(20, 32)), whole.items, 0)
    bad = (BadScan(1, "one"), BadScan(27, "two"))
    batch = Batch(whole.images, whole.masks, whole.rows, whole.items, 3, views=(whole, second),
                  second=second, step=5, bad_scans=bad)  # fmt: skip
    parts = batch.parts(3)
    assert [part.rows for part in parts] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]
    assert [part.bad_scans for part in parts] == [bad[:1], bad[1:], ()]
    for number, part in enumerate(parts):
        here = slice(4 * number, 4 * number + 4)
        assert (part.epoch, part.step, part.items) == (3, 5, whole.items[here])
        assert torch.equal(part.images, whole.images[here])
        assert torch.equal(part.masks, whole.masks[here])
        assert part.second is not None
        assert part.second.rows == second.rows[here]
        assert torch.equal(part.views[1].images, second.images[here])
    assert batch.parts(1) == (batch,)


def test_one_part_at_a_time_is_in_memory() -> None:
    largest: list[int] = []

    class _Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, batch: Batch) -> Losses:
            largest.append(len(batch))
            return Losses((batch.images * self.weight).mean(), {}, {})

    objective = _Watched()
    Learner(objective, torch.optim.SGD(objective.parameters(), lr=0.1), parts=4).learn_from(
        _batch(torch.float32)
    )
    assert largest == [3, 3, 3, 3]


def test_a_batch_that_cannot_be_cut_is_refused_in_one_line() -> None:
    training = TrainingConfig(batch_size=12, accumulate=4)
    require_whole_parts(training, 3)
    with pytest.raises(ConfigError, match="6 scans of a process cannot be cut into 4") as told:
        require_whole_parts(training, 2)
    assert "\n" not in str(told.value)


def test_a_run_in_parts_has_the_losses_of_a_run_without(store: Store, tmp_path: Path) -> None:
    logs = []
    for parts in (1, 2):
        recipe = check_recipe(
            {
                "name": "mae",
                "store": {"spacing_mm": 6},
                "encoder": _VIT.model_dump(mode="json"),
                "objective": {
                    "kind": "mae", "decoder_width": 18, "decoder_depth": 1, "decoder_heads": 3,
                },
                "training": {"epochs": 2, "batch_size": 4, "accumulate": parts},
            },
            "a test",
        )  # fmt: skip
        pretrain(recipe, store, tmp_path / str(parts), torch.device("cpu"))
        logs.append([line for line in read_log(tmp_path / str(parts)) if line["kind"] == "step"])
    assert logs[0]
    for whole, cut in zip(*logs, strict=True):
        for key in ("loss", "effective_rank", "mse_brain_patches", "gradient_norm"):
            assert cut[key] == pytest.approx(whole[key], rel=1e-4), key
