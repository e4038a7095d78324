"""Losses between predicted and cached targets, by name, and how much of the targets they explain."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.training.pretraining.objectives.settings import Loss, TargetNorm

TEMPERATURE = 0.07


@dataclass(frozen=True)
class Target:
    """Mean and deviation of the training targets, (L, D), to standardise with or compare to."""

    mean: Tensor
    std: Tensor

    def standardised(self, target: Tensor) -> Tensor:
        """Bring targets (B, L, D) to mean 0 and deviation 1; what never varies becomes 0."""
        return torch.where(self.std > 1e-6, (target - self.mean) / self.std.clamp(min=1e-6), 0)

    def as_learned(self, target: Tensor, norm: TargetNorm) -> Tensor:
        """A target as the loss sees it: standardised, or as the teacher says it."""
        return self.standardised(target) if norm == "standardize" else target

    def over_tokens(self) -> "Target":
        """One mean and deviation (D,) for all L tokens, which are the same kind of thing each."""
        mean = self.mean.double().mean(dim=0)
        square = (self.std.double().square() + self.mean.double().square()).mean(dim=0)
        std = (square - mean.square()).clamp(min=0).sqrt()
        return Target(mean.float(), std.float())


def compared(target: Tensor, kind: Loss) -> Tensor:
    """What a loss compares of targets (B, L, D): all of them, or directions of unit length.

    `mse` compares the numbers; `cosine` each token's direction, `infonce` the whole target's, so that
    what they learn has no length.
    """
    match kind:
        case "mse":
            return target
        case "cosine":
            return F.normalize(target, dim=-1)
        case "infonce":
            return F.normalize(target.flatten(1), dim=-1).view_as(target)


def r_squared_name(kind: Loss) -> str:
    """How R2 is called: of directions it says nothing of the targets' own numbers."""
    match kind:
        case "mse":
            return "val_r2"
        case "cosine" | "infonce":
            return "val_direction_r2"


def distillation_loss(predicted: Tensor, target: Tensor, kind: Loss) -> Tensor:
    """The loss between targets (B, L, D), in float32: a scalar.

    `mse` is the paper's: the plain mean over everything. `cosine` is 1 minus the cosine of each
    token, `infonce` tells each flattened target from the batch's others.
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
