"""Losses of pre-training, by name, and what tells a student that learned from a collapsed one."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Literal["mse", "cosine", "infonce"]
TEMPERATURE = 0.07
ROWS_AT_A_TIME = 2048  # of distances to all others, for memory's sake


@dataclass(frozen=True)
class Target:
    """Mean and deviation (L, D) of the training targets, to standardise with or compare to."""

    mean: Tensor
    std: Tensor

    def standardised(self, prefix: Tensor) -> Tensor:
        """Bring prefixes (B, L, D) to mean 0 and deviation 1; what never varies becomes 0."""
        return torch.where(self.std > 1e-6, (prefix - self.mean) / self.std.clamp(min=1e-6), 0)


def compared(prefix: Tensor, kind: Loss) -> Tensor:
    """What a loss compares of prefixes (B, L, D): all of them, or directions of unit length.

    `mse` compares the numbers; `cosine` each token's direction, `infonce` the whole prefix's, so that
    what they learn has no length.
    """
    match kind:
        case "mse":
            return prefix
        case "cosine":
            return F.normalize(prefix, dim=-1)
        case "infonce":
            return F.normalize(prefix.flatten(1), dim=-1).view_as(prefix)


def r_squared_name(kind: Loss) -> str:
    """How R2 is called: of directions it says nothing of the prefixes' own numbers."""
    return "val_r2" if kind == "mse" else "val_direction_r2"


def distillation_loss(predicted: Tensor, target: Tensor, kind: Loss) -> Tensor:
    """The loss between prefixes (B, L, D), in float32: a scalar.

    `mse` is the paper's: the plain mean over everything. `cosine` is 1 minus the cosine of each
    token, `infonce` tells each flattened prefix from the batch's others.
    """
    predicted, target = predicted.float(), target.float()
    match kind:
        case "mse":
            return F.mse_loss(predicted, target)
        case "cosine":
            return 1 - F.cosine_similarity(predicted, target, dim=-1).mean()
        case "infonce":
            first, second = (F.normalize(x.flatten(1), dim=-1) for x in (predicted, target))
            logits = first @ second.T / TEMPERATURE
            right = torch.arange(len(logits), device=logits.device)
            return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


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
