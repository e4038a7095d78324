"""The backbone with Point-MAE's part segmentation head: three blocks' features, brought to points."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.loop.batch_norm import BatchNorm1d
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import PartSegmenterShape
from stages.training.networks.upsample import FeaturePropagation

LABEL_WIDTH, SLOPE, DROPOUT = 64, 0.2, 0.5


class PartSegmenter(nn.Module):
    """Points (B, N, 3) of shapes of a category (B,) to part logits (B, N, P).

    Each taken block's features go through the final norm; their maximum and mean over the patches
    and an embedded category are given to every point (Point-MAE's `segmentation/models/pt.py`).
    """

    def __init__(self, shape: PartSegmenterShape) -> None:
        super().__init__()
        self.shape = shape
        if max(shape.taken) > shape.encoder.depth:
            raise ValueError(f"blocks {shape.taken} of a depth of {shape.encoder.depth}")
        width, head = shape.encoder.width * len(shape.taken), shape.head_width
        common = 2 * width + LABEL_WIDTH
        self.encoder = PointEncoder(shape.encoder)
        self.label = nn.Linear(shape.num_categories, LABEL_WIDTH, bias=False)
        self.label_norm = BatchNorm1d(LABEL_WIDTH)
        self.propagation = FeaturePropagation(3 + width, (4 * shape.encoder.width, head))
        self.fc1, self.norm1 = nn.Linear(head + common, head // 2), BatchNorm1d(head // 2)
        self.fc2, self.norm2 = nn.Linear(head // 2, head // 4), BatchNorm1d(head // 4)
        self.fc3 = nn.Linear(head // 4, shape.num_parts)

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        """Return logits over all parts (B, N, P)."""
        outputs, patches = self.encoder(points)
        norm = self.encoder.transformer.norm
        last = len(outputs)  # the last one has been through the norm already
        taken = [
            outputs[block - 1] if block == last else norm(outputs[block - 1])
            for block in self.shape.taken
        ]
        features = torch.cat(taken, dim=-1)
        one_hot = F.one_hot(category, self.shape.num_categories).to(features.dtype)
        label = F.leaky_relu(self.label_norm(self.label(one_hot)), SLOPE)
        common = torch.cat([features.max(dim=1).values, features.mean(dim=1), label], dim=-1)
        local = self.propagation(points, patches.centers, points, features)
        return self._head(local, common)

    def _head(self, local: Tensor, common: Tensor) -> Tensor:
        batch, count, width = local.shape
        over_point, over_cloud = self.fc1.weight.split((width, common.shape[1]), dim=1)
        # What all points of a cloud share meets its half of the weights once a cloud.
        x = F.linear(local, over_point) + F.linear(common, over_cloud, self.fc1.bias)[:, None]
        x = F.dropout(F.relu(self.norm1(x.flatten(0, 1))), DROPOUT, self.training)
        x = F.relu(self.norm2(self.fc2(x)))
        return self.fc3(x).unflatten(0, (batch, count))
