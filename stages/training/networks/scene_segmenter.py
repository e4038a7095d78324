"""The backbone with the paper's segmentation head: each point takes its three nearest patches' features.

The paper's text (section 4.2.2, appendix A.2) names three neighbours, concatenation and two 1-D
convolution blocks; widths, slope and dropout are those of the DGCNN ScanNet head
(antao97/dgcnn.pytorch @ 07d534c). No public code has this head.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.normalise import normalise
from stages.geometry.pointops import gather_points, nearest_in_order
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.normed_linear import NormedLinear
from stages.training.networks.shapes import NEIGHBORS, SegmenterShape

SLOPE = 0.2


class UpsamplingHead(nn.Module):
    """Features (B, G, C) of centres (B, G, 3) to logits (B, N, K) of points (B, N, 3)."""

    def __init__(
        self, width: int, widths: tuple[int, int], num_classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.block1 = NormedLinear(NEIGHBORS * width, widths[0], SLOPE)
        self.block2 = NormedLinear(widths[0], widths[1], SLOPE)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(widths[1], num_classes)

    def forward(self, points: Tensor, centers: Tensor, features: Tensor) -> Tensor:
        """Return logits."""
        return self.classify(self.dropout(self.block2(self._first(points, centers, features))))

    def _first(self, points: Tensor, centers: Tensor, features: Tensor) -> Tensor:
        """The first block of the concatenated features, nearest first.

        Patches are fewer than points, so each patch meets the weights once, and its products are
        gathered and added instead of its features: the wide concatenation is never made.
        """
        _, nearest = nearest_in_order(points, centers, NEIGHBORS)
        weights = self.block1.linear.weight.chunk(NEIGHBORS, dim=1)
        first, second, third = (
            gather_points(F.linear(features, weight), nearest[..., place])
            for place, weight in enumerate(weights)
        )
        x = first + second + third
        y = self.block1.norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return F.leaky_relu(y, SLOPE, inplace=True)


class SceneSegmenter(nn.Module):
    """Points (B, N, 3) in metres to logits (B, N, K)."""

    def __init__(self, shape: SegmenterShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = PointEncoder(shape.encoder)
        self.head = UpsamplingHead(
            shape.encoder.width, shape.widths, shape.num_classes, shape.dropout
        )

    def forward(self, points: Tensor) -> Tensor:
        """Return logits."""
        points = normalise(points, self.shape.norm_input)
        outputs, patches = self.encoder(points)
        return self.head(points, patches.centers, outputs[-1])
