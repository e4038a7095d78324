"""The points of a training step: distinct ones of each shape's pool, however few it has."""

import torch

from stages.loop.random_numbers import plain_draws
from stages.training.tasks.classification.config import ClassificationConfig
from stages.training.tasks.classification.task import _drawn
from stages.training.tasks.shapes import Shapes


def test_a_shape_with_fewer_points_than_the_pool_is_not_drawn_from_duplicates() -> None:
    counts = torch.tensor([200, 70, 50])  # more than the pool of 75, fewer, fewer than are drawn
    start = counts.cumsum(0) - counts
    points = torch.arange(float(counts.sum()))[:, None].expand(-1, 3)
    shapes = Shapes(points, start, counts, torch.zeros(3, dtype=torch.long), None)
    config = ClassificationConfig(num_points=64)
    assert config.pool == 75
    for seed in range(20):
        drawn = _drawn(shapes, torch.arange(3), config, plain_draws(seed, 3, points.device))[..., 0]
        many, some, few = ((own - first).tolist() for own, first in zip(drawn, start, strict=True))
        assert len(set(many)) == 64
        assert set(many) <= set(range(75))
        assert len(set(some)) == 64
        assert set(some) <= set(range(70))
        assert set(few) == set(range(50))
