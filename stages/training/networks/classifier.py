"""The backbone with Point-MAE's classification head: a class token, and the maximum over patches."""

import torch
from torch import Tensor, nn

from stages.loop.batch_norm import BatchNorm1d
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import ClassifierShape
from stages.training.networks.tokenizer import make_patches
from stages.training.networks.transformer import INIT_STD

HEAD_WIDTH, DROPOUT = 256, 0.5


class PointClassifier(nn.Module):
    """Points (B, N, 3) to logits (B, K) (Point-MAE's `PointTransformer`)."""

    def __init__(self, shape: ClassifierShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.encoder.width
        self.encoder = PointEncoder(shape.encoder)
        self.cls_token, self.cls_pos = (nn.Parameter(torch.empty(width)) for _ in range(2))
        for token in (self.cls_token, self.cls_pos):
            nn.init.trunc_normal_(token, std=INIT_STD)
        self.head = nn.Sequential(
            nn.Linear(2 * width, HEAD_WIDTH), BatchNorm1d(HEAD_WIDTH), nn.ReLU(), nn.Dropout(DROPOUT),
            nn.Linear(HEAD_WIDTH, HEAD_WIDTH), BatchNorm1d(HEAD_WIDTH), nn.ReLU(), nn.Dropout(DROPOUT),
            nn.Linear(HEAD_WIDTH, shape.num_classes),
        )  # fmt: skip

    def forward(self, points: Tensor) -> Tensor:
        """Return logits (B, K)."""
        return self.head(self.features(points))

    def features(self, points: Tensor) -> Tensor:
        """Return the class token beside the maximum over patches, (B, 2 C)."""
        shape = self.shape.encoder
        patches = make_patches(
            points, shape.num_patches, shape.patch_size, near_origin_rule=shape.near_origin_rule
        )
        tokens = self.encoder.encode(patches, (self.cls_token, self.cls_pos))[-1]
        return torch.cat([tokens[:, 0], tokens[:, 1:].max(dim=1).values], dim=-1)
