"""Losses and measures, by hand."""

import math

import pytest
import torch

from stages.training.pretraining.measures import chance, r_squared, retrieval
from stages.training.pretraining.objectives.distillation import (
    Target,
    compared,
    distillation_loss,
    r_squared_name,
)
from stages.training.pretraining.objectives.settings import Loss


def test_losses_by_hand() -> None:
    target = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    predicted = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    assert distillation_loss(predicted, target, "mse") == pytest.approx((1 + 1) / 4)
    turned = torch.tensor([[[1.0, 1.0], [0.0, 5.0]]])
    expected = 1 - (math.sqrt(0.5) + 1) / 2
    assert distillation_loss(turned, target, "cosine") == pytest.approx(expected, abs=1e-6)
    rows = torch.eye(4)[:, None]
    assert distillation_loss(rows, rows, "infonce") < 1e-4
    assert distillation_loss(rows, rows.flip(0), "infonce") > 5


def test_half_precision_is_summed_in_float32() -> None:
    big = torch.full((1, 4, 4), 300.0, dtype=torch.float16)
    assert distillation_loss(big, torch.zeros_like(big), "mse") == 90_000  # beyond float16


def test_r_squared_of_the_mean_is_zero() -> None:
    target = torch.randn(50, 3, 4)
    mean = target.mean(dim=0)
    assert r_squared(mean.expand_as(target), target, mean) == pytest.approx(0)
    assert r_squared(target, target, mean) == 1
    assert r_squared(-target, target, torch.zeros(3, 4)) == pytest.approx(-3)


def test_retrieval_by_hand() -> None:
    target = torch.tensor([[0.0], [1.0], [2.0], [2.1]])[..., None]
    predicted = torch.tensor([[0.1], [1.8], [2.3], [2.0]])[..., None]
    alone = torch.arange(4)
    # Row 1 is nearer to 2.0 and 2.1, row 2 to 2.1, row 3 to 2.0.
    assert retrieval(predicted, target, alone, (1, 2, 3)) == {1: 0.25, 2: 0.75, 3: 1.0}
    rooms = torch.tensor([0, 0, 1, 1])  # the last two look alike and do not compete
    assert retrieval(predicted, target, rooms, (1,)) == {1: 0.75}
    assert chance(alone, 1) == pytest.approx(1 / 4)
    assert chance(rooms, 2) == pytest.approx(2 / 3)


def test_standardised_targets() -> None:
    prefix = torch.randn(500, 2, 3) * 5 + 2
    prefix[:, 0, 0] = 7  # never varies
    target = Target(prefix.mean(dim=0), prefix.std(dim=0))
    done = target.standardised(prefix)
    torch.testing.assert_close(done.mean(dim=0), torch.zeros(2, 3), atol=1e-4, rtol=0)
    assert done[:, 0, 0].abs().max() == 0
    assert done[:, 1, 1].std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "forgives_a_whole", "forgives_each_token"),
    [("mse", False, False), ("cosine", True, True), ("infonce", True, False)],
)
def test_a_loss_says_whether_it_knows_lengths(
    kind: Loss, forgives_a_whole: bool, forgives_each_token: bool
) -> None:
    """Three times the target: right for who learned directions, and called so; wrong for all others."""
    target = torch.randn(40, 2, 8)
    mean = compared(target, kind).mean(dim=0)

    def found(predicted: torch.Tensor) -> float:
        return r_squared(compared(predicted, kind), compared(target, kind), mean)

    assert found(target) == pytest.approx(1)
    assert (found(3 * target) > 0.999) == forgives_a_whole
    assert (found(target * torch.tensor([1.0, 5.0])[:, None]) > 0.999) == forgives_each_token
    assert (r_squared_name(kind) == "val_r2") == (not forgives_a_whole)
