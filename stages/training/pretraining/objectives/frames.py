"""One target of a whole frame: the paper's objective, with concepts, and the same without."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from stages.training.networks.shapes import EncoderShape, PooledStudentShape, StudentShape
from stages.training.networks.student import FramePredictor, PooledStudent, Prediction, Student
from stages.training.pretraining.data import Data
from stages.training.pretraining.measures import chance, r_squared, retrieval
from stages.training.pretraining.objectives.distillation import (
    Target,
    compared,
    distillation_loss,
    r_squared_name,
)
from stages.training.pretraining.objectives.objective import Batch, Measures
from stages.training.pretraining.objectives.settings import ConceptSettings, PooledSettings
from stages.training.pretraining.ridge import ridge_prediction

RETRIEVED = (1, 5)


@dataclass(frozen=True)
class WholeFrame:
    """Predict a frame's target; measured by R2 and retrieval, beside a ridge regression's."""

    settings: ConceptSettings | PooledSettings
    encoder: EncoderShape
    data: Data
    headline: str = field(default="val_loss", init=False)

    @property
    def needs_whole_batch(self) -> bool:
        """Whether rows are told from each other."""
        return self.settings.loss == "infonce"

    @cached_property
    def statistics(self) -> Target:
        """Of the training targets."""
        return self.data.statistics(self.settings.target)

    @property
    def shape(self) -> StudentShape | PooledStudentShape:
        """All that rebuilds the network."""
        length, width = self.data.target_shape(self.settings.target)
        common: dict[str, Any] = {
            "encoder": self.encoder,
            "target": (length, width),
            "array": self.settings.target,
            "head_width": self.settings.head_width,
        }
        if isinstance(self.settings, PooledSettings):
            return PooledStudentShape(pool=self.settings.pool, **common)
        own = {"num_concepts": self.settings.num_concepts, "head": self.settings.head}
        return StudentShape(**common, **own)

    def network(self) -> nn.Module:
        """A student."""
        shape = self.shape
        model = PooledStudent(shape) if isinstance(shape, PooledStudentShape) else Student(shape)
        self.tell_statistics(model)
        return model

    def tell_statistics(self, model: FramePredictor) -> None:
        """Let a network know how its targets were standardised."""
        if self.data.target_norm == "standardize":
            model.target_mean.copy_(self.statistics.mean)
            model.target_std.copy_(self.statistics.std)

    def about(self) -> dict[str, Any]:
        """What rebuilds the network."""
        kind = "pooled student" if isinstance(self.settings, PooledSettings) else "student"
        return {"kind": kind, "shape": self.shape.model_dump(mode="json")}

    def extras(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def terms(self, output: Prediction, batch: Batch) -> Terms:
        """The distillation loss."""
        return Terms(distillation_loss(output.prediction, self._target(batch), self.settings.loss))

    def _target(self, batch: Batch) -> Tensor:
        return self._learned(batch.targets[self.settings.target])

    def _learned(self, target: Tensor) -> Tensor:
        return self.statistics.as_learned(target, self.data.target_norm)

    def kept(self, output: Prediction, batch: Batch) -> Tensor:
        """The prediction (B, L, D)."""
        return output.prediction.float()

    @cached_property
    def mean(self) -> Tensor:
        """What a student would say that knows no cloud: the mean (L, D) of what is compared in training."""
        total: Tensor = torch.zeros(())
        for target in self.data.train_targets(self.settings.target):
            learned = compared(self._learned(target), self.settings.loss)
            total = total.to(learned.device) + learned.double().sum(dim=0)
        return total / self.data.num_train

    def measures(self, kept: Sequence[Tensor]) -> Measures:
        """Loss, R2 against the training mean, and retrieval of the own frame beside chance."""
        return self.of_predictions(kept)

    def of_predictions(self, kept: Sequence[Tensor]) -> Measures:
        """Measure predictions, in the space of the loss and of what it compares."""
        kind, predicted = self.settings.loss, torch.cat(list(kept))
        target = self._learned(self.data.held_target(self.settings.target))
        sizes = [len(part) for part in kept]
        parts = zip(kept, target.split(sizes), strict=True)
        loss = sum(distillation_loss(p, t, kind).item() * len(p) for p, t in parts)
        predicted, target = compared(predicted, kind), compared(target, kind)
        room = self.data.held_room.to(predicted.device)
        found = retrieval(predicted, target, room, RETRIEVED)
        return {
            "val_loss": loss / len(target),
            r_squared_name(kind): r_squared(predicted, target, self.mean),
            **{f"val_top{k}": share for k, share in found.items()},
            **{f"chance_top{k}": chance(room, k) for k in RETRIEVED},
        }

    def bars(self) -> Measures:
        """Measure what a ridge regression from plain features of the clouds predicts."""
        features = self.data.train_features()
        rows = torch.arange(len(features))
        target = self._learned(self.data.train_target(self.settings.target, rows))
        predicted = ridge_prediction(
            features, lambda part: target[part].flatten(1), self.data.held_features()
        )
        shaped = predicted.float().view(-1, *target.shape[1:])
        found = self.of_predictions(shaped.split(self.data.batch))
        return {f"ridge_{key}": value for key, value in found.items() if key.startswith("val_")}
