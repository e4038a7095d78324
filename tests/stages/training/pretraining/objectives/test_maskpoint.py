"""MaskPoint's queries against brute force, and its loss by hand."""

import math

import pytest
import torch

from stages.training.pretraining.objectives.maskpoint import (
    FAKE,
    REAL,
    UNKNOWN,
    focal_losses,
    make_queries,
)


def test_labels_are_those_of_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 200, 3, generator=generator)
    points /= points.norm(dim=-1, keepdim=True)  # a hollow ball
    random = torch.rand(2, 64, 3, generator=generator)
    queries, labels = make_queries(points, 32, random)
    assert queries.shape == (2, 96, 3)
    assert (labels[:, :32] == REAL).all()
    for cloud, own, told, numbers in zip(points, queries, labels, random, strict=True):
        real, fake = own[:32], own[32:]
        for query in real:
            assert (cloud - query).norm(dim=-1).min() == 0
        low, high = real.min(dim=0).values, real.max(dim=0).values
        torch.testing.assert_close(fake, low + numbers * (high - low))
        to_others = [
            min((a - b).norm().item() for j, b in enumerate(real) if j != i)
            for i, a in enumerate(real)
        ]
        limit = sum(to_others) / len(to_others)
        expected = [
            UNKNOWN if (cloud - query).norm(dim=-1).min().item() < limit else FAKE for query in fake
        ]
        assert told[32:].tolist() == expected
        assert {UNKNOWN, FAKE} <= set(expected)


def test_the_loss_by_hand() -> None:
    """One real query with both classes at 0.8 and one that is not known."""
    logit = math.log(0.8 / 0.2)
    logits = torch.tensor([[[logit, logit], [3.0, -3.0]]])
    labels = torch.tensor([[REAL, UNKNOWN]])
    found = focal_losses(logits, labels, alpha=0.25, gamma=2.0)
    # Class 0 is not wanted: 0.75 * 0.8^2 * -log(0.2); class 1 is: 0.25 * 0.2^2 * -log(0.8).
    expected = (0.75 * 0.64 * -math.log(0.2) + 0.25 * 0.04 * -math.log(0.8)) / 2
    assert found[0, 0].item() == pytest.approx(expected, rel=1e-5)
    assert found[0, 1] == 0
