"""The students of pre-training: the backbone, and what reads a frame's target off it.

Only the backbone, `encoder`, is used later.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stages.training.networks.concepts import ConceptModule, FlattenHead, build_head
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import PooledStudentShape, StudentShape
from stages.training.networks.tokenizer import Patches


class Prediction(NamedTuple):
    """A predicted target (B, L, D), the patches it was made from, and the last block's features (B, G, C)."""

    prediction: Tensor
    patches: Patches
    features: Tensor


class FramePredictor(nn.Module, ABC):
    """What predicts one target (L, D) of a whole frame, in the space of the loss.

    `target_mean` and `target_std` (L, D) bring predictions back to the teacher's own numbers; where the
    targets were not standardised they are 0 and 1.
    """

    encoder: PointEncoder
    target_mean: Tensor
    target_std: Tensor

    def __init__(self, shape: StudentShape | PooledStudentShape) -> None:
        super().__init__()
        self.array = shape.array
        self.encoder = PointEncoder(shape.encoder)
        self.register_buffer("target_mean", torch.zeros(shape.target))
        self.register_buffer("target_std", torch.ones(shape.target))

    @abstractmethod
    def predict(self, features: list[Tensor]) -> Tensor:
        """The target (B, L, D) by each block's features (B, G, C)."""

    def forward(self, points: Tensor) -> Prediction:
        """Predict the target of clouds (B, N, 3)."""
        features, patches = self.encoder(points)
        return Prediction(self.predict(features), patches, features[-1])

    def to_target(self, predicted: Tensor) -> Tensor:
        """Predictions (B, L, D) as the teacher says them. Raises ValueError if that is not known."""
        if self.target_mean.isnan().any():
            raise ValueError(
                "this student learned standardised targets and its checkpoint, of an earlier version, does "
                "not say their mean and deviation; train it again to decode its predictions"
            )
        return predicted * self.target_std + self.target_mean


class Student(FramePredictor):
    """The paper's: concepts that look at the features of every block, and a head."""

    def __init__(self, shape: StudentShape) -> None:
        super().__init__(shape)
        self.shape = shape
        encoder = shape.encoder
        self.concepts = ConceptModule(encoder.width, encoder.num_heads, shape.num_concepts)
        self.head = build_head(shape)

    def predict(self, features: list[Tensor]) -> Tensor:
        """The target (B, L, D) by each block's features (B, G, C)."""
        return self.head(self.concepts(features))


class PooledStudent(FramePredictor):
    """Without concepts: the last block's tokens, pooled or one beside the other, into the head.

    The paper's "w/o concept extraction" (its Table 5). It does not say how 64 tokens meet an MLP; one
    beside the other depends on the order of sampling, so their maximum and mean are the default.
    """

    def __init__(self, shape: PooledStudentShape) -> None:
        super().__init__(shape)
        self.shape = shape
        times = 2 if shape.pool == "max_mean" else shape.encoder.num_patches
        self.head = FlattenHead(times * shape.encoder.width, shape.head_width, shape.target)

    def predict(self, features: list[Tensor]) -> Tensor:
        """The target (B, L, D) by the last block's features (B, G, C)."""
        last = features[-1]
        return self.head(pooled(last) if self.shape.pool == "max_mean" else last)


def pooled(features: Tensor) -> Tensor:
    """Maximum and mean over a cloud's tokens (B, G, C): (B, 2 C)."""
    return torch.cat([features.amax(dim=1), features.mean(dim=1)], dim=-1)
