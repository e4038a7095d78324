"""A student of single patches: each 3D patch's feature to the token of a teacher's image patch."""

from torch import Tensor, nn

from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import PatchStudentShape
from stages.training.networks.student import Prediction
from stages.training.networks.transformer import init_weights


class PatchStudent(nn.Module):
    """The backbone, and one linear layer from a patch's feature to the width of the teacher's tokens."""

    def __init__(self, shape: PatchStudentShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = PointEncoder(shape.encoder)
        self.head = nn.Linear(shape.encoder.width, shape.target_width)
        self.head.apply(init_weights)

    def forward(self, points: Tensor) -> Prediction:
        """Predict a token for each patch of clouds (B, N, 3): (B, G, D)."""
        features, patches = self.encoder(points)
        return Prediction(self.head(features[-1]), patches, features[-1])
