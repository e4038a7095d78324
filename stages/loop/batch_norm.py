"""Batch norm whose running statistics never remember how they began.

They begin at mean 0 and variance 1, and an average of momentum 0.1 forgets that to 2 % in 36 steps: where
the true variance is 0.001, evaluation after a short training divides by twenty times it. Here the
first batches are averaged evenly, until a batch's share would be below the momentum.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNorm1d(nn.BatchNorm1d):
    """Batch norm of (N, C) or (N, C, L); a batch counts max(momentum, 1 / (number before + 1)).

    `num_batches_tracked` travels with the weights, so norms that have seen enough go on as torch's
    own. Micro-batches count as batches.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in evaluation, and where frozen, as torch's own."""
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        # The host must not wait for the device to learn its count: torch notes the batch's statistics
        # alone (momentum 1, and no NaN to begin with), and they are averaged on the device.
        mean, var = (torch.zeros_like(value) for value in self._statistics())
        out = F.batch_norm(input, mean, var, self.weight, self.bias, True, 1.0, self.eps)
        self.follow(mean, var)
        return out

    @torch.no_grad()
    def follow(self, mean: Tensor, var: Tensor) -> None:
        """Average a batch's mean and unbiased variance, (C,) each, into the running ones."""
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        share = (1 / (self.num_batches_tracked + 1)).clamp(min=self.momentum)
        for running, new in zip(self._statistics(), (mean, var), strict=True):
            running.lerp_(new.to(running.dtype), share.to(running.dtype))
        self.num_batches_tracked.add_(1)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean, self.running_var


class NormWarmUp:
    """The same rule for the norms of another library's network, whose class is its own."""

    def __init__(self, module: nn.Module) -> None:
        norms = (norm for norm in module.modules() if isinstance(norm, _BatchNorm))
        self._young = [(norm, norm.momentum) for norm in norms if norm.momentum is not None]

    def before_batch(self) -> None:
        """Give the norms that are still young what the next batch is to weigh."""
        still = []
        for norm, momentum in self._young:
            assert norm.num_batches_tracked is not None
            norm.momentum = max(momentum, 1 / (int(norm.num_batches_tracked) + 1))
            if norm.momentum > momentum:
                still.append((norm, momentum))
        self._young = still
