"""PointNet (Qi et al., CVPR 2017): shared layers over points, a maximum, and two learned transforms."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.training.networks.normed_linear import stack


class Transform(nn.Module):
    """Points' features (B, N, C) to a matrix (B, C, C), at first the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.local, self.common = stack((width, 64, 128, 1024)), stack((1024, 512, 256))
        self.last = nn.Linear(256, width * width)
        nn.init.zeros_(self.last.weight)
        with torch.no_grad():
            self.last.bias.copy_(torch.eye(width).flatten())

    def forward(self, x: Tensor) -> Tensor:
        """Return the matrix."""
        x = self.common(self.local(x).max(dim=1).values)
        return self.last(x).unflatten(1, (self.width, self.width))


class PointNetClassifier(nn.Module):
    """Points (B, N, 3) to logits (B, K); `transform` is the second matrix of the last pass."""

    transform: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.input_transform, self.feature_transform = Transform(3), Transform(64)
        self.first, self.second = stack((3, 64, 64)), stack((64, 64, 128, 1024))
        self.head = nn.Sequential(
            stack((1024, 512, 256)), nn.Dropout(0.3), nn.Linear(256, num_classes)
        )

    def forward(self, points: Tensor) -> Tensor:
        """Return logits."""
        x = self.first(points @ self.input_transform(points))
        self.transform = self.feature_transform(x)
        return self.head(self.second(x @ self.transform).max(dim=1).values)


class PointNetParts(nn.Module):
    """Points (B, N, 3) of a category (B,) to part logits (B, N, P); its paper's Figure 9."""

    transform: Tensor

    def __init__(self, num_parts: int, num_categories: int) -> None:
        super().__init__()
        self.num_categories = num_categories
        self.input_transform, self.feature_transform = Transform(3), Transform(128)
        self.layers = nn.ModuleList(
            [
                stack((3, 64)),
                stack((64, 128)),
                stack((128, 128)),
                stack((128, 512)),
                stack((512, 2048)),
            ]
        )
        taken = 64 + 128 + 128 + 512 + 2048
        self.head = nn.Sequential(
            stack((taken + 2048 + num_categories, 256, 256, 128)), nn.Linear(128, num_parts)
        )

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        """Return logits."""
        x, taken = points @ self.input_transform(points), []
        for number, layer in enumerate(self.layers):
            if number == 3:
                self.transform = self.feature_transform(x)
                x = x @ self.transform
            x = layer(x)
            taken.append(x)
        one_hot = F.one_hot(category, self.num_categories).to(x.dtype)
        common = torch.cat([x.max(dim=1).values, one_hot], dim=-1)
        expanded = common[:, None].expand(-1, points.shape[1], -1)
        return self.head(torch.cat([*taken, expanded], dim=-1))
