"""The student of pre-training: the backbone, and what reads the teacher's tokens off it."""

import torch
from torch import Tensor, nn

from stages.training.networks.concepts import ConceptModule, build_head
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import StudentShape
from stages.training.networks.tokenizer import Patches


class Student(nn.Module):
    """Points (B, N, 3) to a predicted prefix (B, L, D), in the space of the loss.

    `target_mean` and `target_std` (L, D) bring predictions back to the teacher's own numbers; where the
    targets were not standardised they are 0 and 1.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.shape = shape
        width, num_heads = shape.encoder.width, shape.encoder.num_heads
        self.encoder = PointEncoder(shape.encoder)
        self.concepts = ConceptModule(width, num_heads, shape.num_concepts)
        self.head = build_head(shape.head, shape.num_concepts, width, shape.target)
        self.register_buffer("target_mean", torch.zeros(shape.target))
        self.register_buffer("target_std", torch.ones(shape.target))

    def forward(self, points: Tensor) -> tuple[Tensor, Patches]:
        """Return the prediction, and the patches that it was made from."""
        features, patches = self.encoder(points)
        return self.head(self.concepts(features)), patches

    def to_prefix(self, predicted: Tensor) -> Tensor:
        """Predictions (B, L, D) as the teacher says them. Raises ValueError if that is not known."""
        if self.target_mean.isnan().any():
            raise ValueError(
                "this student learned standardised targets and its checkpoint, of an earlier version, does "
                "not say their mean and deviation; train it again to decode its predictions"
            )
        return predicted * self.target_std + self.target_mean
