"""Layers that the rivals share: linear maps with batch norm over the last axis, of any shape."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from stages.loop.batch_norm import BatchNorm1d


class NormedLinear(nn.Module):
    """A linear layer, batch norm over all leading axes, and a (leaky) ReLU: (..., C) to (..., D)."""

    def __init__(self, width: int, out: int, slope: float = 0.0) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(width, out, bias=False), BatchNorm1d(out)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis."""
        y = self.norm(self.linear(x.reshape(-1, x.shape[-1])))
        return F.leaky_relu(y, self.slope, inplace=True).view(*x.shape[:-1], -1)


def stack(widths: Sequence[int], slope: float = 0.0) -> nn.Sequential:
    """Several of them, one after the other."""
    return nn.Sequential(*(NormedLinear(a, b, slope) for a, b in pairwise(widths)))
