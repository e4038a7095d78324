"""Clouds to patches, and patches to tokens: Point-MAE's grouping and mini-PointNet."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.pointops import (
    farthest_point_sample,
    gather_points,
    nearest_neighbors,
)
from stages.loop.batch_norm import BatchNorm1d
from stages.training.networks.coordinates import CoordinateLinear
from stages.training.networks.transformer import init_weights


@dataclass(frozen=True)
class Patches:
    """centers (B, G, 3); neighborhoods (B, G, K, 3) minus their centre; indices (B, G, K).

    `chosen` (B, G) are the centres' places among the cloud's points, `indices` those of the patches'.
    """

    centers: Tensor
    neighborhoods: Tensor
    indices: Tensor
    chosen: Tensor

    def coverage(self, num_points: int) -> Tensor:
        """Share of a cloud's points that lie in some patch, (B,)."""
        flat = self.indices.flatten(1)
        seen = torch.zeros(len(flat), num_points, dtype=torch.bool, device=flat.device)
        return seen.scatter(1, flat, True).float().mean(dim=1)


def make_patches(
    points: Tensor, num_patches: int, patch_size: int, *, near_origin_rule: bool = True
) -> Patches:
    """Choose centres of clouds (B, N, 3) by farthest point sampling, and each one's neighbours."""
    chosen = farthest_point_sample(points, num_patches, near_origin_rule=near_origin_rule)
    centers = gather_points(points, chosen)
    _, indices = nearest_neighbors(centers, points, patch_size)
    neighborhoods = gather_points(points, indices) - centers[:, :, None]
    return Patches(centers, neighborhoods, indices, chosen)


class PatchEmbedding(nn.Module):
    """A mini-PointNet: points of a patch (B, G, K, 3) to its token (B, G, C).

    3-128-256, maximum over the patch, [global, local], 512-512-C, maximum (Point-MAE's `Encoder`);
    `hidden` is the first of these widths, and the others follow it. With a `token_width` of its own
    a linear layer brings tokens to C, as Point-BERT's `reduce_dim`.
    """

    def __init__(self, width: int, hidden: int = 128, token_width: int | None = None) -> None:
        super().__init__()
        token_width = token_width or width
        self.hidden = hidden
        self.local1, self.norm1 = CoordinateLinear(3, hidden), BatchNorm1d(hidden)
        self.local2 = nn.Linear(hidden, 2 * hidden)
        self.joint1, self.norm2 = nn.Linear(4 * hidden, 4 * hidden), BatchNorm1d(4 * hidden)
        self.joint2 = nn.Linear(4 * hidden, token_width)
        self.reduce = nn.Identity() if token_width == width else nn.Linear(token_width, width)
        self.apply(init_weights)
        # A norm takes these away again, so all that they could learn is rounding, which Adam makes as large
        # as any other step: more than a patch's coordinates vary, and the running mean comes too late.
        for layer in (self.local1, self.local2, self.joint1):
            layer.bias.requires_grad_(False)

    def forward(self, neighborhoods: Tensor) -> Tensor:
        """Return tokens (B, G, C)."""
        batch, groups, size, _ = neighborhoods.shape
        x = self.local1(neighborhoods.reshape(-1, 3))
        # In place, and the maximum with its index, which is a quarter faster on a CPU.
        x = F.relu(self.norm1(x), inplace=True)
        x = self.local2(x).unflatten(0, (batch * groups, size))
        # The first half of the weights meets the patch's maximum: once a patch, not once a point.
        over_patch, over_point = self.joint1.weight.split(2 * self.hidden, dim=1)
        common = F.linear(x.max(dim=1).values, over_patch, self.joint1.bias)
        x = F.linear(x, over_point).add_(common[:, None])
        x = self.joint2(F.relu(self.norm2(x.flatten(0, 1)), inplace=True))
        return self.reduce(x.unflatten(0, (batch, groups, size)).max(dim=2).values)
