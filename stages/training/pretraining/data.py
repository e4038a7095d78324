"""What an objective is told of the data: shapes and statistics of targets, training and held rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stages.training.pretraining.clouds import RIDGE_ROWS, ROWS_AT_A_TIME, Clouds
from stages.training.pretraining.objectives.distillation import Target
from stages.training.pretraining.objectives.settings import TargetNorm


@dataclass(frozen=True)
class Data:
    """Training clouds with their targets, and held ones, if there are any; `batch` rows at a time."""

    train: Clouds
    held: Clouds | None
    target_norm: TargetNorm
    batch: int

    @property
    def num_train(self) -> int:
        """Training rows."""
        return len(self.train.pairs)

    def target_shape(self, array: str) -> tuple[int, int]:
        """(L, D) of one row's target; an array of one vector a row counts as one token."""
        length, width = self.train.pairs.targets[array].shape[1:]
        return int(length), int(width)

    def statistics(self, array: str) -> Target:
        """Mean and deviation (L, D) of the training targets."""
        mean, std = self.train.pairs.target_statistics(array)
        return Target(mean, std)

    def train_target(self, array: str, rows: Tensor) -> Tensor:
        """Targets of some training rows, (B, L, D) float32."""
        return self.train.pairs.target(array, rows)

    def train_targets(self, array: str) -> Iterator[Tensor]:
        """All training targets, some rows at a time."""
        for rows in torch.arange(self.num_train).split(ROWS_AT_A_TIME):
            yield self.train_target(array, rows)

    @property
    def held_clouds(self) -> Clouds:
        """The held rows, which must be there."""
        assert self.held is not None
        return self.held

    def held_target(self, array: str) -> Tensor:
        """Targets (N, L, D) float32 of all held rows."""
        pairs = self.held_clouds.pairs
        rows = torch.arange(len(pairs)).split(self.batch)
        return torch.cat([pairs.target(array, part) for part in rows])

    @property
    def held_room(self) -> Tensor:
        """The room (N,) of each held row."""
        return self.held_clouds.pairs.room

    def train_features(self) -> Tensor:
        """Plain features (M, 32) of training clouds, of so many that more would change nothing."""
        return self.train.features(RIDGE_ROWS)

    def held_features(self) -> Tensor:
        """The same of all held clouds."""
        return self.held_clouds.features()
