"""NT-Xent against a loop, a case worked by hand and the released implementation's values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from neurofm.objectives.nt_xent import nt_xent


def _nt_xent_by_loops(
    z1: Tensor, z2: Tensor, temperature: float, items: Sequence[str] | None = None
) -> float:
    views = [row.double() for row in z1] + [row.double() for row in z2]
    count = len(z1)
    people = list(items or range(count)) * 2

    def similarity(i: int, j: int) -> float:
        a, b = views[i], views[j]
        return float(a @ b / (a.norm() * b.norm())) / temperature

    total = 0.0
    for i in range(2 * count):
        partner = i + count if i < count else i - count
        choices = [k for k in range(2 * count) if k == partner or people[k] != people[i]]
        others = sum(math.exp(similarity(i, k)) for k in choices)
        total += -math.log(math.exp(similarity(i, partner)) / others)
    return total / (2 * count)


def _projections(seed: int, count: int, size: int = 64) -> Tensor:
    values = np.random.default_rng(seed).standard_normal((count, size))
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_the_loss_equals_the_one_written_as_loops(count: int, temperature: float) -> None:
    z1, z2 = _projections(1, count, 7), _projections(2, count, 7)
    expected = _nt_xent_by_loops(z1, z2, temperature)
    assert float(nt_xent(z1, z2, temperature)) == pytest.approx(expected, rel=1e-5)


def test_other_scans_of_the_same_participant_are_no_negatives() -> None:
    z1, z2 = _projections(1, 6, 7), _projections(2, 6, 7)
    items = ("x/1", "x/2", "x/1", "y/1", "x/2", "x/1")
    expected = _nt_xent_by_loops(z1, z2, 0.5, items)
    assert float(nt_xent(z1, z2, 0.5, items)) == pytest.approx(expected, rel=1e-5)
    assert expected < 0.95 * _nt_xent_by_loops(z1, z2, 0.5)


def test_a_batch_of_one_participants_scans_has_nothing_to_lose() -> None:
    z1, z2 = _projections(1, 3, 7), _projections(2, 3, 7)
    assert float(nt_xent(z1, z2, 0.5, ("a", "a", "a"))) == 0.0


def test_naming_different_participants_changes_no_bit() -> None:
    z1, z2 = _projections(1, 6, 7), _projections(2, 6, 7)
    assert torch.equal(nt_xent(z1, z2, 0.5, tuple("abcdef")), nt_xent(z1, z2, 0.5))


def test_float64_stays_float64() -> None:
    z1, z2 = _projections(1, 5, 7).double(), _projections(2, 5, 7).double()
    expected = _nt_xent_by_loops(z1, z2, 0.1)
    assert float(nt_xent(z1, z2, 0.1)) == pytest.approx(expected, rel=1e-13)


def test_two_participants_at_right_angles_give_the_loss_worked_by_hand() -> None:
    z = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    # Each view: its partner at cosine 1, two others at cosine 0.
    expected = -math.log(math.e**2 / (math.e**2 + 2))
    assert float(nt_xent(z, z, 0.5)) == pytest.approx(expected, rel=1e-6)


def test_one_participant_alone_has_nothing_to_lose() -> None:
    z = torch.tensor([[1.0, 2.0]])
    assert float(nt_xent(z, -z, 0.5)) == 0.0


def test_the_loss_is_float32_from_half_precision() -> None:
    z = _projections(3, 4).half()
    assert nt_xent(z, z, 0.5).dtype == torch.float32


def test_the_gradient_is_that_of_finite_differences() -> None:
    z1 = _projections(4, 3, 5)
    z2 = _projections(5, 3, 5)
    z1.requires_grad_()
    nt_xent(z1, z2, 0.5).backward()
    assert z1.grad is not None
    step = 1e-4
    for row, column in ((0, 0), (1, 3), (2, 4)):
        moved = z1.detach().double()
        moved[row, column] += step
        above = _nt_xent_by_loops(moved, z2, 0.5)
        moved[row, column] -= 2 * step
        below = _nt_xent_by_loops(moved, z2, 0.5)
        slope = (above - below) / (2 * step)
        assert float(z1.grad[row, column]) == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_loss_and_gradients_equal_the_released_implementation(shared: Path) -> None:
    with np.load(shared / "reference" / "reference_values.npz") as values:
        cases = [name.removesuffix("_loss") for name in values.files if name.endswith("_loss")]
        assert cases
        for case in cases:
            count, temperature = case.removeprefix("ntxent_N").split("_T")
            n = int(count)
            z1 = _projections(100 + n, n).requires_grad_()
            z2 = _projections(200 + n, n).requires_grad_()
            loss = nt_xent(z1, z2, float(temperature))
            loss.backward()
            assert float(loss.detach()) == pytest.approx(float(values[f"{case}_loss"]), rel=1e-5)
            for z, view in ((z1, "i"), (z2, "j")):
                assert z.grad is not None
                expected = torch.from_numpy(values[f"{case}_grad_{view}"])
                assert float((z.grad - expected).norm() / expected.norm()) < 1e-4
