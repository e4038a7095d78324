"""What 3DETR's heads say, and the boxes that this means (facebookresearch/3detr @ a5d1aad)."""

from dataclasses import dataclass

import torch
from torch import Tensor

MIN_RANGE_M = 0.1  # of a scene's extent, where sizes are brought to metres


@dataclass(frozen=True)
class Raw:
    """What the heads say, of L layers: (L, B, Q, ...); query (B, Q, 3) and ranges (B, 3) in metres.

    `offset` from the query in metres, `size` as a share of the scene's range, `logits` over classes and
    "no object" as the last, `angle` the residual of the one angle that ScanNet has, normalised.
    """

    query: Tensor
    offset: Tensor
    size: Tensor
    logits: Tensor
    angle: Tensor
    low: Tensor
    high: Tensor

    def layers(self) -> list["Prediction"]:
        """The predictions of each layer."""
        return [
            predict(self.query, self.low, self.high, *parts)
            for parts in zip(self.offset, self.size, self.logits, self.angle, strict=True)
        ]


@dataclass(frozen=True)
class Prediction:
    """Of one layer: boxes (B, Q, 6) in metres, centre and size as shares of the range, class scores."""

    boxes: Tensor
    center: Tensor
    size: Tensor
    logits: Tensor
    angle: Tensor

    @property
    def class_probability(self) -> Tensor:
        """Of each class but "no object", (B, Q, C); they do not sum to 1."""
        return self.logits.softmax(dim=-1)[..., :-1]

    @property
    def objectness(self) -> Tensor:
        """1 less the probability of "no object", (B, Q)."""
        return 1 - self.logits.softmax(dim=-1)[..., -1]


def predict(
    query: Tensor,
    low: Tensor,
    high: Tensor,
    offset: Tensor,
    size: Tensor,
    logits: Tensor,
    angle: Tensor,
) -> Prediction:
    """Bring one layer's heads to boxes."""
    extent = (high - low)[:, None]
    center = query + offset
    boxes = torch.cat([center, size * extent.clamp(min=MIN_RANGE_M)], dim=-1)
    return Prediction(boxes, (center - low[:, None]) / extent, size, logits, angle)
