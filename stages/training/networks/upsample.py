"""From patch centres back to points: interpolation from the three nearest, and PointNet++'s layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.pointops import gather_points, nearest_in_order
from stages.loop.batch_norm import BatchNorm1d


def interpolate(points: Tensor, centers: Tensor, features: Tensor) -> Tensor:
    """Give points (B, N, 3) the features (B, G, C) of their three nearest centres (B, G, 3).

    Weights are inverse squared distances, as PointNet++'s; fewer than three centres give what there
    is. Returns (B, N, C).
    """
    distance, indices = nearest_in_order(points, centers)
    weight = 1 / (distance.square() + 1e-8)
    weight = weight / weight.sum(dim=-1, keepdim=True)
    near = gather_points(features, indices)  # (B, N, 3, C)
    return (weight[..., None].to(near.dtype) * near).sum(dim=2)


class FeaturePropagation(nn.Module):
    """Interpolated features beside the points' own, through shared layers with batch norm."""

    def __init__(self, width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = [width, *hidden]
        self.layers = nn.ModuleList(
            nn.Linear(first, second) for first, second in zip(widths, hidden, strict=False)
        )
        self.norms = nn.ModuleList(BatchNorm1d(width) for width in hidden)

    def forward(
        self, points: Tensor, centers: Tensor, own: Tensor | None, features: Tensor
    ) -> Tensor:
        """Return (B, N, hidden[-1]); `own` (B, N, D) are the points' features, if they have any."""
        x = interpolate(points, centers, features)
        if own is not None:
            x = torch.cat([own.to(x.dtype), x], dim=-1)
        batch = len(x)
        x = x.flatten(0, 1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(layer(x)))
        return x.unflatten(0, (batch, -1))
