"""The concept module and the heads: features of all blocks to the teacher's tokens.

After each block, learned concept queries look at the block's features; what they have gathered
after the last one predicts the prefix. All of it is thrown away after pre-training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.training.networks.shapes import StudentShape
from stages.training.networks.transformer import INIT_STD, Mlp, init_weights


class ConceptModule(nn.Module):
    """Queries (Q, C) that cross-attend to each block's features, with one set of weights for all.

    Pre-norm on both sides, no bias on queries, keys and values, no position on the keys, no
    attention among the concepts; a feed-forward after each attention, a norm at the end.
    """

    def __init__(self, width: int, num_heads: int, num_concepts: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.queries = nn.Parameter(torch.empty(num_concepts, width))
        self.norm_queries, self.norm_features = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_queries = nn.Linear(width, width, bias=False)
        self.to_keys_values = nn.Linear(width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.norm_mlp, self.mlp = nn.LayerNorm(width), Mlp(width)
        self.norm = nn.LayerNorm(width)
        self.apply(init_weights)
        nn.init.normal_(self.queries, std=INIT_STD)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Gather from the features (B, G, C) of every block, in order: concepts (B, Q, C)."""
        concepts = self.queries.expand(len(features[0]), -1, -1)
        for feature in features:
            concepts = concepts + self._attend(concepts, feature)
            concepts = concepts + self.mlp(self.norm_mlp(concepts))
        return self.norm(concepts)

    def _attend(self, concepts: Tensor, feature: Tensor) -> Tensor:
        query = self.to_queries(self.norm_queries(concepts)).unflatten(-1, (self.num_heads, -1))
        pair = self.to_keys_values(self.norm_features(feature))
        key, value = pair.unflatten(-1, (2, self.num_heads, -1)).unbind(2)
        query, key, value = (item.transpose(1, 2) for item in (query, key, value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class FlattenHead(nn.Module):
    """The paper's two-layer MLP: all numbers of a cloud at once to all tokens, (B, ...) to (B, L, D)."""

    def __init__(self, given: int, hidden: int, target: tuple[int, int]) -> None:
        super().__init__()
        self.target = target
        self.fc1 = nn.Linear(given, hidden)
        self.fc2 = nn.Linear(hidden, target[0] * target[1])
        self.apply(init_weights)

    def forward(self, features: Tensor) -> Tensor:
        """Predict the target (B, L, D)."""
        hidden = F.gelu(self.fc1(features.flatten(1)))
        return self.fc2(hidden).unflatten(1, self.target)


class MixerHead(nn.Module):
    """A small alternative: mix concepts into L tokens, then map their width to D."""

    def __init__(self, num_concepts: int, width: int, target: tuple[int, int]) -> None:
        super().__init__()
        self.tokens = nn.Linear(num_concepts, target[0])
        self.channels = nn.Linear(width, target[1])
        self.apply(init_weights)

    def forward(self, concepts: Tensor) -> Tensor:
        """Predict the target (B, L, D)."""
        mixed = self.tokens(concepts.transpose(1, 2)).transpose(1, 2)
        return self.channels(F.gelu(mixed))


def build_head(shape: StudentShape) -> nn.Module:
    """Return the head for a student's concepts (B, Q, C)."""
    width = shape.encoder.width
    if shape.head == "mixer":
        return MixerHead(shape.num_concepts, width, shape.target)
    return FlattenHead(shape.num_concepts * width, shape.head_width, shape.target)
