"""MaskPoint's network (models/MaskPoint.py and models/transformer.py @ f65c088) over our encoder.

The encoder sees some of the patches; a decoder tells of query points whether they are on the surface. There
the encoder has a class token, which only its switched-off contrastive loss reads; ours has none.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.pointops import gather_points
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.masked import split_patches
from stages.training.networks.shapes import MaskPointShape
from stages.training.networks.tokenizer import Patches
from stages.training.networks.transformer import Mlp, drop_path, init_weights

CLASSIFIER_HIDDEN = 64


class Told(NamedTuple):
    """Of queries (B, Q): logits (B, Q, 2) of fake and real, and what they are, 0, 1, or -1 for not known."""

    logits: Tensor
    labels: Tensor
    patches: Patches
    features: Tensor


class QueryBlock(nn.Module):
    """Queries look at what was seen, and not at each other; no norm on what they look at."""

    def __init__(self, width: int, num_heads: int, drop_rate: float) -> None:
        super().__init__()
        self.num_heads, self.drop_rate = num_heads, drop_rate
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_query, self.to_key, self.to_value = (
            nn.Linear(width, width, bias=False) for _ in range(3)
        )
        self.proj, self.mlp = nn.Linear(width, width), Mlp(width)

    def forward(self, x: Tensor, place: Tensor, seen: Tensor, seen_place: Tensor) -> Tensor:
        """Return the queries (B, Q, C) after one look at features (B, V, C)."""
        x = x + self._dropped(self._attend(self.norm1(x) + place, seen + seen_place, seen))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (
            layer(item).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, item in (
                (self.to_query, query), (self.to_key, key), (self.to_value, value),
            )
        )  # fmt: skip
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def _dropped(self, branch: Tensor) -> Tensor:
        return drop_path(branch, self.drop_rate if self.training else 0.0)


class MaskPointNetwork(nn.Module):
    """The backbone on the patches that are seen, and a decoder of query points."""

    def __init__(self, shape: MaskPointShape) -> None:
        super().__init__()
        self.shape = shape
        encoder, width = shape.encoder, shape.encoder.width
        self.encoder = PointEncoder(encoder)
        # The reference gives its decoder's blocks the encoder's first rates.
        rates = torch.linspace(0, encoder.drop_path, max(encoder.depth, shape.decoder_depth))
        self.decoder = nn.ModuleList(
            QueryBlock(width, encoder.num_heads, rate)
            for rate in rates[: shape.decoder_depth].tolist()
        )
        self.classifier = nn.Sequential(
            nn.Linear(width, CLASSIFIER_HIDDEN), nn.GELU(), nn.Linear(CLASSIFIER_HIDDEN, 2)
        )
        for module in (self.decoder, self.classifier):
            module.apply(init_weights)

    def forward(self, points: Tensor, mask: Tensor, queries: Tensor, labels: Tensor) -> Told:
        """Tell real from fake queries (B, Q, 3) by what `mask` (B, G) bool leaves of clouds (B, N, 3)."""
        patches = self.encoder.patches_of(points)
        seen, _ = split_patches(mask, self.shape.num_masked)
        last = self.encoder.encode(patches, visible=seen)[-1]
        position = self.encoder.transformer.pos_embed  # one for both, as in the reference
        place = position(queries)
        seen_place = position(gather_points(patches.centers, seen))
        x = torch.zeros_like(place)
        for block in self.decoder:
            x = block(x, place, last, seen_place)
        return Told(self.classifier(x), labels, patches, last)
