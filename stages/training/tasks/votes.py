"""Every point of a cloud labelled: the cloud is drawn in parts again and again, and each part votes."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from stages.loop.random_numbers import seed_of

CLOUDS_AT_A_TIME = 8


@torch.no_grad()
def vote_over_points(
    model: Callable[[Tensor], Tensor],
    vertices: Tensor,
    num_points: int,
    rounds: int,
    num_classes: int,
    seed: int,
) -> Tensor:
    """Sum class probabilities (V, K) of vertices (V, 3) over rounds.

    In a round all vertices are shuffled and cut into clouds of `num_points`, so each one votes once
    or, where the last cloud is filled up, once more.
    """
    votes = torch.zeros(len(vertices), num_classes, device=vertices.device)
    for indices in _clouds(len(vertices), num_points, rounds, seed, vertices.device):
        probability = model(vertices[indices]).float().softmax(dim=-1)
        votes.index_add_(0, indices.flatten(), probability.flatten(0, 1))
    return votes


def _clouds(
    count: int, num_points: int, rounds: int, seed: int, device: torch.device
) -> Iterator[Tensor]:
    """Indices (B, num_points) of some clouds, until all rounds are done."""
    generator = torch.Generator().manual_seed(seed_of(seed, "votes"))
    for _ in range(rounds):
        order = torch.randperm(count, generator=generator)
        missing = -len(order) % num_points
        if missing:
            order = torch.cat([order, torch.randint(count, (missing,), generator=generator)])
        yield from order.view(-1, num_points).to(device).split(CLOUDS_AT_A_TIME)
