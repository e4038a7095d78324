"""A linear layer on coordinates, which mixed precision would round: bfloat16 has 8 mm steps at 4 m."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CoordinateLinear(nn.Linear):
    """Coordinates (..., 3) to features (..., C), in float32 whatever autocast says."""

    def forward(self, input: Tensor) -> Tensor:
        """Map the last axis."""
        with torch.autocast(input.device.type, enabled=False):
            return F.linear(input.to(self.weight.dtype), self.weight, self.bias)
