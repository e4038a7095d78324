"""The bar: plain features say what they should, and ridge regression finds what they tell."""

import numpy as np
import torch
from sklearn.linear_model import Ridge

from stages.training.pretraining.ridge import (
    NUM_FEATURES,
    PENALTIES,
    geometric_features,
    ridge_prediction,
)


def test_features_of_a_floor_and_of_a_wall() -> None:
    """Camera frame: y is down, so a floor is constant in y and a wall ahead constant in z."""
    grid = torch.rand(512, 2, generator=torch.Generator().manual_seed(0))
    floor = torch.stack([grid[:, 0], torch.full((512,), 1.5), 2 + grid[:, 1]], dim=1)
    wall = torch.stack([grid[:, 0], grid[:, 1], torch.full((512,), 3.0)], dim=1)
    noise = torch.randn(512, 3, generator=torch.Generator().manual_seed(1))
    features = geometric_features(torch.stack([floor, wall, noise]))
    assert features.shape == (3, NUM_FEATURES)
    horizontal, upright, neither = features[:, -3:].T
    assert (horizontal[0], upright[1]) == (1, 1)
    assert neither[2] > 0.8
    torch.testing.assert_close(features[1, :3], torch.tensor([1.0, 1.0, 0.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(features[:, 13:21].sum(dim=1), torch.ones(3))
    assert torch.isfinite(features).all()


def test_ridge_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 5, generator=generator) * torch.tensor([1.0, 10, 0.1, 1, 1]) + 3
    y = x @ torch.randn(5, 4, generator=generator) + torch.randn(200, 4, generator=generator)
    held = torch.randn(20, 5, generator=generator) + 3
    ours = ridge_prediction(x, lambda part: y[part], held)
    scale = x.double().std(dim=0)
    candidates = [
        Ridge(alpha=penalty).fit((x.double() / scale).numpy(), y.double().numpy())
        .predict((held.double() / scale).numpy())
        for penalty in PENALTIES
    ]  # fmt: skip
    assert min(np.abs(ours.numpy() - candidate).max() for candidate in candidates) < 1e-6


def test_constant_features_do_no_harm() -> None:
    x = torch.cat([torch.arange(20.0)[:, None], torch.ones(20, 1)], dim=1)
    y = 2 * x[:, :1] + 1
    predicted = ridge_prediction(x, lambda part: y[part], torch.tensor([[5.0, 1.0]]))
    assert abs(predicted.item() - 11) < 0.1
