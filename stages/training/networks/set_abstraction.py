"""PointNet++'s set abstraction: balls of points around far-apart centres, each to one feature."""

import torch
from torch import Tensor, nn

from stages.geometry.pointops import (
    distance_blocks,
    farthest_point_sample,
    gather_points,
    outside_graphs,
)
from stages.training.networks.normed_linear import stack


@outside_graphs
@torch.no_grad()
def ball_query(centers: Tensor, points: Tensor, radius: float, count: int) -> Tensor:
    """Indices (B, M, count) of the first points (B, N, 3) within a radius of centres (B, M, 3).

    Where there are fewer, the first one is repeated, as in the reference.
    """
    num_points = points.shape[1]
    order = torch.arange(num_points, device=points.device)
    blocks = []
    for distance in distance_blocks(centers, points):
        within = torch.where(distance < radius, order, num_points)
        blocks.append(
            within.topk(min(count, num_points), dim=-1, largest=False, sorted=True).values
        )
    found = torch.cat(blocks, dim=1)
    first = found[..., :1].clamp(max=num_points - 1)
    return torch.where(found == num_points, first, found)


class SetAbstraction(nn.Module):
    """Centres by farthest point sampling, and a small PointNet over the ball around each.

    With `in_radii` the ball's points are divided by its radius, as VoteNet and 3DETR do.
    """

    def __init__(
        self,
        num_centers: int,
        radius: float,
        count: int,
        width: int,
        widths: tuple[int, ...],
        *,
        in_radii: bool = False,
    ) -> None:
        super().__init__()
        self.num_centers, self.radius, self.count = num_centers, radius, count
        self.unit = radius if in_radii else 1.0
        self.layers = stack((3 + width, *widths))

    def forward(self, points: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return centres (B, M, 3) and their features (B, M, C)."""
        chosen = farthest_point_sample(points, min(self.num_centers, points.shape[1]))
        centers = gather_points(points, chosen)
        indices = ball_query(centers, points, self.radius, self.count)
        grouped = (gather_points(points, indices) - centers[:, :, None]) / self.unit
        if features is not None:
            grouped = torch.cat(
                [grouped.to(features.dtype), gather_points(features, indices)], dim=-1
            )
        return centers, self.layers(grouped).max(dim=2).values
