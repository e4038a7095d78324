"""The student of pre-training: the backbone, and what reads the teacher's tokens off it."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from stages.settings import Settings
from stages.training.networks.concepts import ConceptModule, build_head
from stages.training.networks.encoder import EncoderShape, PointEncoder
from stages.training.networks.tokenizer import Patches


class StudentShape(Settings):
    """All that rebuilds a student; `target` is (L, D) of the teacher's prefix."""

    encoder: EncoderShape = EncoderShape()
    target: tuple[int, int] = (10, 768)
    num_concepts: int = Field(32, ge=1)
    head: Literal["flatten", "mixer"] = "flatten"


class Student(nn.Module):
    """Points (B, N, 3) to a predicted prefix (B, L, D)."""

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.shape = shape
        width, num_heads = shape.encoder.width, shape.encoder.num_heads
        self.encoder = PointEncoder(shape.encoder)
        self.concepts = ConceptModule(width, num_heads, shape.num_concepts)
        self.head = build_head(shape.head, shape.num_concepts, width, shape.target)

    def forward(self, points: Tensor) -> tuple[Tensor, Patches]:
        """Return the prediction, and the patches that it was made from."""
        features, patches = self.encoder(points)
        return self.head(self.concepts(features)), patches
