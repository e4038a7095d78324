"""PointNet++ (Qi et al., NeurIPS 2017), single-scale grouping: points gathered in balls, twice."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.normalise import normalise
from stages.training.networks.normed_linear import stack
from stages.training.networks.set_abstraction import SetAbstraction
from stages.training.networks.upsample import FeaturePropagation

# (centres, radius, points of a ball, widths) of the two levels, for points in the unit sphere.
LEVELS = ((512, 0.2, 32, (64, 64, 128)), (128, 0.4, 64, (128, 128, 256)))


# The same of whole scenes, in metres: the counts and widths of PointNet++'s scene network. Its balls
# are half as wide, for columns of 1.5 m that hold as many points.
SCENE_LEVELS = (
    (1024, 0.2, 32, (32, 32, 64)),
    (256, 0.4, 32, (64, 64, 128)),
    (64, 0.8, 32, (128, 128, 256)),
    (16, 1.6, 32, (256, 256, 512)),
)


class _Levels(nn.Module):
    """The two levels, and the layers over all of it."""

    def __init__(self) -> None:
        super().__init__()
        widths = (0, *(level[3][-1] for level in LEVELS))
        self.levels = nn.ModuleList(
            SetAbstraction(m, r, k, widths[number], hidden)
            for number, (m, r, k, hidden) in enumerate(LEVELS)
        )
        self.common = stack((3 + widths[-1], 256, 512, 1024))

    def forward(self, points: Tensor) -> tuple[list[tuple[Tensor, Tensor | None]], Tensor]:
        """Return points and features of each level, and the feature of the whole (B, 1024)."""
        found: list[tuple[Tensor, Tensor | None]] = [(points, None)]
        for level in self.levels:
            found.append(level(*found[-1]))
        centers, features = found[-1]
        assert features is not None
        together = torch.cat([centers.to(features.dtype), features], dim=-1)
        return found, self.common(together).max(dim=1).values


class PointNet2Classifier(nn.Module):
    """Points (B, N, 3) to logits (B, K)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.levels = _Levels()
        self.head = nn.Sequential(
            stack((1024, 512)), nn.Dropout(0.4), stack((512, 256)), nn.Dropout(0.4),
            nn.Linear(256, num_classes),
        )  # fmt: skip

    def forward(self, points: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.levels(points)[1])


class PointNet2Parts(nn.Module):
    """Points (B, N, 3) of a category (B,) to part logits (B, N, P)."""

    def __init__(self, num_parts: int, num_categories: int) -> None:
        super().__init__()
        self.num_categories = num_categories
        self.levels = _Levels()
        self.up2 = FeaturePropagation(256 + 1024, (256, 256))
        self.up1 = FeaturePropagation(128 + 256, (256, 128))
        self.up0 = FeaturePropagation(3 + num_categories + 128, (128, 128, 128))
        self.head = nn.Sequential(stack((128, 128)), nn.Dropout(0.5), nn.Linear(128, num_parts))

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        """Return logits."""
        (_, (xyz1, f1), (xyz2, f2)), whole = self.levels(points)
        f2 = self.up2(xyz2, xyz2.mean(dim=1, keepdim=True), f2, whole[:, None])
        f1 = self.up1(xyz1, xyz2, f1, f2)
        one_hot = F.one_hot(category, self.num_categories).to(points.dtype)
        own = torch.cat([points, one_hot[:, None].expand(-1, points.shape[1], -1)], dim=-1)
        return self.head(self.up0(points, xyz1, own, f1))


class PointNet2Scenes(nn.Module):
    """Points (B, N, 3) in metres to logits (B, N, K)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        widths = (0, *(level[3][-1] for level in SCENE_LEVELS))
        self.levels = nn.ModuleList(
            SetAbstraction(m, r, k, widths[number], hidden)
            for number, (m, r, k, hidden) in enumerate(SCENE_LEVELS)
        )
        self.up = nn.ModuleList(
            [
                FeaturePropagation(512 + 256, (256, 256)),
                FeaturePropagation(256 + 128, (256, 256)),
                FeaturePropagation(256 + 64, (256, 128)),
                FeaturePropagation(128, (128, 128, 128)),
            ]
        )
        self.head = nn.Sequential(stack((128, 128)), nn.Dropout(0.5), nn.Linear(128, num_classes))

    def forward(self, points: Tensor) -> Tensor:
        """Return logits."""
        found: list[tuple[Tensor, Tensor | None]] = [(normalise(points, "center"), None)]
        for level in self.levels:
            found.append(level(*found[-1]))
        centers, x = found.pop()
        for up in self.up:
            places, own = found.pop()
            x = up(places, centers, own, x)
            centers = places
        return self.head(x)
