"""R2 against predicting the mean, and retrieval against chance."""

import torch
from torch import Tensor

ROWS_AT_A_TIME = 2048  # of distances to all others, for memory's sake


def r_squared(predicted: Tensor, target: Tensor, mean: Tensor) -> float:
    """1 minus the squared error over that of predicting the training mean: 0 for a collapsed one."""
    error = (predicted.double() - target.double()).square().sum()
    of_mean = (target.double() - mean.double()).square().sum()
    return float(1 - error / of_mean.clamp(min=1e-30))


def retrieval(
    predicted: Tensor, target: Tensor, group: Tensor, ks: tuple[int, ...]
) -> dict[int, float]:
    """Share of rows whose own target is among the k nearest to their prediction, for each k.

    Rows of the same `group` (N,), a room's other frames, do not compete: they look alike.
    """
    predicted, target = predicted.flatten(1).float(), target.flatten(1).float()
    middle = target.mean(dim=0)  # far from the origin, distances by matrix products are wrong
    predicted, target = predicted - middle, target - middle
    nearer = []
    for rows in torch.arange(len(target), device=target.device).split(ROWS_AT_A_TIME):
        distance = torch.cdist(predicted[rows], target)
        own = distance.gather(1, rows[:, None])
        rivals = distance.masked_fill(group[rows, None] == group[None], torch.inf)
        nearer.append((rivals < own).sum(dim=1))
    rank = torch.cat(nearer)
    return {k: (rank < k).float().mean().item() for k in ks}


def chance(group: Tensor, k: int) -> float:
    """What `retrieval` gives for k to a guess: k out of the rivals and oneself."""
    rivals = (group[:, None] != group[None]).sum(dim=1) + 1
    return (k / rivals.float()).clamp(max=1).mean().item()


def effective_rank(features: Tensor) -> float:
    """How many directions features (N, F) use: the exponential of the entropy of their singular values.

    RankMe's measure (Garrido et al., ICML 2023) about the mean: 1 where all lie on a line, 0 where they are
    one and the same, whatever was learned.
    """
    centred = features.double() - features.double().mean(dim=0)
    # Of the small square matrix: there may be many more rows than columns.
    values = torch.linalg.eigvalsh(centred.T @ centred).clamp(min=0).sqrt()
    if values.sum() <= 1e-9 * features.double().norm().clamp(min=1e-30):
        return 0.0
    share = values / values.sum()
    return float(torch.special.entr(share).sum().exp())
