"""Distillation and reconstruction together (the paper's Table 6): one backbone, two tasks, one forward."""

from typing import NamedTuple

from torch import Tensor

from stages.training.networks.masked import PatchDecoder, points_of, split_patches
from stages.training.networks.shapes import JointShape
from stages.training.networks.student import Student
from stages.training.networks.tokenizer import Patches


class JointPrediction(NamedTuple):
    """A predicted target (B, L, D) beside masked patches' points as rebuilt and true, (B, M, K, 3)."""

    prediction: Tensor
    rebuilt: Tensor
    true: Tensor
    patches: Patches
    features: Tensor


class JointStudent(Student):
    """A student with a decoder of masked patches beside its head.

    In `two` passes the target is predicted from all patches and others are rebuilt from a second look at
    some; in `one` both are done from the patches that are seen.
    """

    def __init__(self, shape: JointShape) -> None:
        super().__init__(shape)
        self.passes, self.num_masked = shape.passes, shape.masked.num_masked
        self.decoder = PatchDecoder(shape.masked)

    def forward(self, points: Tensor, mask: Tensor) -> JointPrediction:  # type: ignore[override]
        """Predict of clouds (B, N, 3), and rebuild what `mask` (B, G) bool hides."""
        patches = self.encoder.patches_of(points)
        seen, masked = split_patches(mask, self.num_masked)
        partial = self.encoder.encode(patches, visible=seen)
        features = self.encoder.encode(patches) if self.passes == "two" else partial
        rebuilt = self.decoder(partial[-1], patches, seen, masked)
        true = points_of(patches, masked)
        return JointPrediction(self.predict(features), rebuilt, true, patches, features[-1])
