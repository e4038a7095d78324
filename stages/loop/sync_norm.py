"""Batch norm over the batches of all processes.

torch's own SyncBatchNorm refuses the CPU; this one works wherever the processes can talk.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stages.loop.batch_norm import BatchNorm1d


class _Sum(torch.autograd.Function):
    """Sum over processes; so is the gradient, for each process's loss depends on the sum."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm(BatchNorm1d):
    """Batch norm of (N, C) or (N, C, L) with mean and variance over all processes' rows."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in evaluation, and without other processes, as the plain one."""
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        x = input.float()
        sums = torch.cat([x.sum(axes), x.new_tensor([x.numel() / x.shape[1]])])
        sums = _Sum.apply(sums)  # type: ignore[no-untyped-call]
        count = sums[-1].detach()
        mean = sums[:-1] / count
        shape = (1, -1, *(1 for _ in axes[1:]))
        centred = x - mean.view(shape)
        var = _Sum.apply(centred.square().sum(axes)) / count  # type: ignore[no-untyped-call]
        self.follow(mean.detach(), var.detach() * count / (count - 1))
        scale = (var + self.eps).rsqrt() * self.weight
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)


def synchronise(model: nn.Module) -> None:
    """Make every batch norm of a model a synchronous one, in place, its tensors kept."""
    for module in model.modules():
        if type(module) is BatchNorm1d:
            module.__class__ = SyncBatchNorm
