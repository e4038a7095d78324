"""3DETR's decoder and heads (facebookresearch/3detr @ a5d1aad) over our encoder, or over its own."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.normalise import frame_of
from stages.geometry.pointops import farthest_point_sample, gather_points
from stages.training.networks.detections import Raw
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.normed_linear import NormedLinear
from stages.training.networks.set_abstraction import SetAbstraction
from stages.training.networks.shapes import DetectorShape, DetrEncoderShape

BALL_RADIUS_M, BALL_POINTS = 0.2, 64
HEADS = {"offset": 3, "size": 3, "angle": 1}  # and logits, as many as classes and one


class FourierPosition(nn.Module):
    """Positions (B, N, 3) within a range to features (B, N, C): sines, then cosines.

    The frequencies are drawn once, and belong to the checkpoint.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(3, width // 2))

    def forward(self, points: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the features; the range (B, 3) is the scene's."""
        share = (points - low[:, None]) / (high - low)[:, None]
        x, y, z = (share[..., axis, None] * self.frequencies[axis] for axis in range(3))
        angle = 2 * math.pi * (x + y + z)  # no matrix product, which mixed precision would round
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class DetrEncoder(nn.Module):
    """Balls of points to tokens, and pre-norm layers without positions."""

    def __init__(self, shape: DetrEncoderShape, dropout: float) -> None:
        super().__init__()
        self.gather = SetAbstraction(
            shape.num_tokens, BALL_RADIUS_M, BALL_POINTS, 0, (64, 128, shape.width), in_radii=True
        )
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.heads, shape.hidden, dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, shape.layers, enable_nested_tensor=False, norm=None
        )

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens' places (B, P, 3) and features (B, P, C)."""
        centers, features = self.gather(points, None)
        return centers, self.layers(features)


class DecoderLayer(nn.Module):
    """Queries look at each other, then at the scene; pre-norm, positions added where they look."""

    def __init__(self, shape: DetectorShape) -> None:
        super().__init__()
        width, dropout = shape.width, shape.dropout
        self.self_attn, self.cross_attn = (
            nn.MultiheadAttention(width, shape.heads, dropout, batch_first=True) for _ in range(2)
        )
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.linear1, self.linear2 = nn.Linear(width, shape.hidden), nn.Linear(shape.hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, place: Tensor, scene: Tensor, scene_place: Tensor) -> Tensor:
        """Return the queries (B, Q, C) after one layer."""
        y = self.norm1(x)
        at = y + place
        x = x + self.dropout(self.self_attn(at, at, y, need_weights=False)[0])
        y = self.norm2(x) + place
        x = x + self.dropout(self.cross_attn(y, scene + scene_place, scene, need_weights=False)[0])
        y = self.dropout(F.relu(self.linear1(self.norm3(x))))
        return x + self.dropout(self.linear2(y))


class Head(nn.Module):
    """Two hidden layers with batch norm and dropout, and a linear one."""

    def __init__(self, width: int, out: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(NormedLinear(width, width) for _ in range(2))
        self.dropout, self.last = nn.Dropout(dropout), nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (..., C) to (..., out)."""
        for layer in self.hidden:
            x = self.dropout(layer(x))
        return self.last(x)


class Detector(nn.Module):
    """Points (B, N, 3), metres, z up, with their range, to every decoder layer's boxes."""

    def __init__(self, shape: DetectorShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = (
            PointEncoder(shape.encoder)
            if shape.kind == "student"
            else DetrEncoder(shape.own, shape.dropout)
        )
        given = shape.encoder.width if shape.kind == "student" else shape.own.width
        width = shape.width
        self.project = nn.Sequential(
            NormedLinear(given, given), NormedLinear(given, given), NormedLinear(given, width)
        )
        self.position = FourierPosition(width)
        self.query = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict(
            {
                name: Head(width, out, shape.head_dropout)
                for name, out in {**HEADS, "logits": shape.num_classes + 1}.items()
            }
        )

    def forward(self, points: Tensor, low: Tensor, high: Tensor) -> Raw:
        """Return what the heads say of each layer; `low` and `high` (B, 3) are the points' range."""
        if not isinstance(self.encoder, PointEncoder):
            places, features = self.encoder(points)
            return self.decode(places, features, low, high)
        middle, radius = frame_of(points, self.shape.norm_input)
        outputs, patches = self.encoder((points - middle) / radius)
        return self.decode(patches.centers * radius + middle, outputs[-1], low, high)

    def decode(self, places: Tensor, features: Tensor, low: Tensor, high: Tensor) -> Raw:
        """From tokens (B, P, C) at places (B, P, 3)."""
        scene = self.project(features)
        scene_place = self.position(places, low, high)
        chosen = farthest_point_sample(places, self.shape.num_queries)
        query = gather_points(places, chosen)
        place = self.query(self.position(query, low, high))
        x, outputs = torch.zeros_like(place), []
        for layer in self.layers:
            x = layer(x, place, scene, scene_place)
            outputs.append(self.norm(x))
        found = torch.stack(outputs)  # (L, B, Q, C)
        return Raw(
            query=query,
            offset=self.heads["offset"](found).float().sigmoid() - 0.5,
            size=self.heads["size"](found).float().sigmoid(),
            logits=self.heads["logits"](found).float(),
            angle=self.heads["angle"](found).float(),
            low=low,
            high=high,
        )
