"""What a student is judged by on held frames."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from stages.training.pretraining.clouds import ROWS_AT_A_TIME, Clouds
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.measures import chance, r_squared, retrieval
from stages.training.pretraining.objectives.prefix import (
    Target,
    compared,
    distillation_loss,
    r_squared_name,
)
from stages.training.pretraining.ridge import ridge_prediction

RETRIEVED = (1, 5)


def loss_target(config: PretrainConfig, target: Tensor, statistics: Target) -> Tensor:
    """A target as the loss sees it: standardised, or as the teacher says it."""
    return statistics.standardised(target) if config.target_norm == "standardize" else target


@dataclass(frozen=True)
class Validation:
    """Frames of rooms that the student does not learn from, and what is measured on them."""

    config: PretrainConfig
    train: Clouds
    held: Clouds
    statistics: Target

    @cached_property
    def mean(self) -> Tensor:
        """What a student would say that knows no cloud: the mean (L, D) of what is compared in training."""
        rows = torch.arange(len(self.train.pairs)).split(ROWS_AT_A_TIME)
        parts = (self._compared(self.train.pairs.target(part)).double().sum(dim=0) for part in rows)
        return sum(parts, torch.zeros(())) / len(self.train.pairs)

    def _compared(self, target: Tensor) -> Tensor:
        return compared(loss_target(self.config, target, self.statistics), self.config.loss)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Loss, R2 against the training mean, and retrieval of the own frame beside chance."""
        predicted = torch.cat([model(self.held.plain(rows))[0].float() for rows in self._parts()])
        return self.measures(predicted)

    def measures(self, predicted: Tensor) -> dict[str, float]:
        """Measure predictions (N, L, D), in the space of the loss and of what it compares."""
        pairs, config = self.held.pairs, self.config
        raw = torch.cat([pairs.target(rows) for rows in self._parts()])
        target = loss_target(config, raw, self.statistics)
        parts = zip(
            predicted.split(config.training.batch), target.split(config.training.batch), strict=True
        )
        loss = sum(distillation_loss(p, t, config.loss).item() * len(p) for p, t in parts)
        predicted, target = compared(predicted, config.loss), compared(target, config.loss)
        room = pairs.room.to(predicted.device)
        found = retrieval(predicted, target, room, RETRIEVED)
        return {
            "val_loss": loss / len(target),
            r_squared_name(config.loss): r_squared(predicted, target, self.mean),
            **{f"val_top{k}": share for k, share in found.items()},
            **{f"chance_top{k}": chance(room, k) for k in RETRIEVED},
        }

    def bars(self) -> dict[str, float]:
        """Measure what a ridge regression from plain features of the clouds predicts."""
        features = self.train.features()
        rows = torch.arange(len(features))
        target = loss_target(self.config, self.train.pairs.target(rows), self.statistics)
        predicted = ridge_prediction(
            features,
            lambda part: target[part].flatten(1),
            self.held.features(),
        )
        found = self.measures(predicted.float().view(-1, *target.shape[1:]))
        return {f"ridge_{key}": value for key, value in found.items() if key.startswith("val_")}

    def _parts(self) -> tuple[Tensor, ...]:
        return torch.arange(len(self.held.pairs)).split(self.config.training.batch)
