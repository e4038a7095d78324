"""DGCNN (Wang et al., TOG 2019): convolutions over the edges to the nearest neighbours in features."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.normalise import normalise
from stages.geometry.pointops import gather_points
from stages.training.networks.normed_linear import NormedLinear, stack

SLOPE = 0.2


@torch.no_grad()
def feature_neighbors(x: Tensor, k: int) -> Tensor:
    """Indices (B, N, k) of the nearest in features (B, N, C), oneself among them."""
    x = x.float()
    with torch.autocast(x.device.type, enabled=False):  # which would find other neighbours
        product = x @ x.transpose(1, 2)
    square = product.diagonal(dim1=1, dim2=2)
    distance = square[:, :, None] + square[:, None] - 2 * product
    return distance.topk(min(k, x.shape[1]), dim=-1, largest=False).indices


class EdgeConvolution(nn.Module):
    """Features (B, N, C) to (B, N, D): the maximum over edges of layers on [neighbour - own, own]."""

    def __init__(self, width: int, widths: tuple[int, ...], k: int) -> None:
        super().__init__()
        self.k, self.layers = k, stack((2 * width, *widths), SLOPE)

    def forward(self, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Return the features; neighbours are near in `place` (B, N, 3) if it is given."""
        return self.layers(self.edges(x, place)).max(dim=2).values

    def edges(self, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Return [neighbour - own, own], (B, N, k, 2 C)."""
        near = gather_points(x, feature_neighbors(x if place is None else place, self.k))
        own = x[:, :, None].expand_as(near)
        return torch.cat([near - own, own], dim=-1)


class DgcnnClassifier(nn.Module):
    """Points (B, N, 3) to logits (B, K), 20 neighbours."""

    def __init__(self, num_classes: int, k: int = 20) -> None:
        super().__init__()
        widths = (3, 64, 64, 128, 256)
        self.edges = nn.ModuleList(EdgeConvolution(a, (b,), k) for a, b in pairwise(widths))
        self.embed = NormedLinear(512, 1024, SLOPE)
        self.head = nn.Sequential(
            NormedLinear(2048, 512, SLOPE), nn.Dropout(0.5), NormedLinear(512, 256, SLOPE),
            nn.Dropout(0.5), nn.Linear(256, num_classes),
        )  # fmt: skip

    def forward(self, points: Tensor) -> Tensor:
        """Return logits."""
        x, taken = points, []
        for edge in self.edges:
            x = edge(x)
            taken.append(x)
        x = self.embed(torch.cat(taken, dim=-1))
        return self.head(torch.cat([x.max(dim=1).values, x.mean(dim=1)], dim=-1))


class DgcnnParts(nn.Module):
    """Points (B, N, 3) of a category (B,) to part logits (B, N, P), 40 neighbours."""

    def __init__(self, num_parts: int, num_categories: int, k: int = 40) -> None:
        super().__init__()
        self.num_categories = num_categories
        self.transform_edges = EdgeConvolution(3, (64, 128), k)
        self.transform_layers = nn.ModuleList(
            [NormedLinear(128, 1024, SLOPE), stack((1024, 512, 256), SLOPE)]
        )
        self.transform = nn.Linear(256, 9)
        nn.init.zeros_(self.transform.weight)
        with torch.no_grad():
            self.transform.bias.copy_(torch.eye(3).flatten())
        self.edges = nn.ModuleList(
            [EdgeConvolution(3, (64, 64), k), EdgeConvolution(64, (64, 64), k), EdgeConvolution(64, (64,), k)]
        )  # fmt: skip
        self.embed = NormedLinear(192, 1024, SLOPE)
        self.label = NormedLinear(num_categories, 64, SLOPE)
        self.head = nn.Sequential(
            NormedLinear(1024 + 64 + 192, 256, SLOPE), nn.Dropout(0.5), NormedLinear(256, 256, SLOPE),
            nn.Dropout(0.5), NormedLinear(256, 128, SLOPE), nn.Linear(128, num_parts),
        )  # fmt: skip

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        """Return logits."""
        x = points @ self._turned(points)
        taken = []
        for edge in self.edges:
            x = edge(x)
            taken.append(x)
        local = torch.cat(taken, dim=-1)
        one_hot = F.one_hot(category, self.num_categories).to(local.dtype)
        whole = torch.cat([self.embed(local).max(dim=1).values, self.label(one_hot)], dim=-1)
        expanded = whole[:, None].expand(-1, points.shape[1], -1)
        return self.head(torch.cat([expanded, local], dim=-1))

    def _turned(self, points: Tensor) -> Tensor:
        """A matrix (B, 3, 3) for the points, at first the identity."""
        local, common = self.transform_layers
        x = local(self.transform_edges(points)).max(dim=1).values
        return self.transform(common(x)).unflatten(1, (3, 3))


class DgcnnScenes(nn.Module):
    """Points (B, N, 3) in metres to logits (B, N, K), 20 neighbours.

    The ScanNet network of antao97/dgcnn.pytorch @ 07d534c; that one is given colours too, in all nine
    channels, of which the last three say where a point is.
    """

    def __init__(
        self,
        num_classes: int,
        k: int = 20,
        *,
        channels: int = 3,
        widths: tuple[int, int, int] = (1024, 512, 256),
    ) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            [EdgeConvolution(channels, (64, 64), k), EdgeConvolution(64, (64, 64), k), EdgeConvolution(64, (64,), k)]
        )  # fmt: skip
        embedded, first, second = widths
        self.embed = NormedLinear(192, embedded, SLOPE)
        self.head = nn.Sequential(
            NormedLinear(embedded + 192, first, SLOPE), NormedLinear(first, second, SLOPE),
            nn.Dropout(0.5), nn.Linear(second, num_classes, bias=False),
        )  # fmt: skip

    def forward(self, points: Tensor) -> Tensor:
        """Return logits."""
        return self.logits(normalise(points, "unit_sphere"))

    def logits(self, x: Tensor) -> Tensor:
        """Of channels (B, N, C)."""
        place, taken = x[..., -3:], []
        for edge in self.edges:
            x = place = edge(x, place)
            taken.append(x)
        local = torch.cat(taken, dim=-1)
        whole = self.embed(local).max(dim=1).values[:, None]
        return self.head(torch.cat([whole.expand(-1, x.shape[1], -1), local], dim=-1))
