"""Losses of pre-training, by name, and what tells a student that learned from a collapsed one."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.training.pretraining.config import Loss

TEMPERATURE = 0.07


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
    match kind:
        case "mse":
            return "val_r2"
        case "cosine" | "infonce":
            return "val_direction_r2"


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
