"""Random numbers that are a function of seed and step, so that nothing need be saved to go on.

Each step's numbers are drawn for the whole batch, and a device takes those of its part: the same
batch gives the same numbers however it is split over devices and micro-batches.
"""

import hashlib

import torch
from torch import Tensor


def seed_of(*what: int | str) -> int:
    """Hash a seed and what it is for, (seed, "order", epoch) for instance, to 63 bits."""
    text = "/".join(map(str, what)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def epoch_order(seed: int, epoch: int, num_rows: int) -> Tensor:
    """The rows (N,) of an epoch in their random order."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    return torch.randperm(num_rows, generator=generator)


class Draws:
    """The random numbers of one step, for `part` of a batch of `total` rows."""

    def __init__(self, seed: int, total: int, part: slice, device: torch.device) -> None:
        self._generator = torch.Generator(device).manual_seed(seed)
        self._total, self._part = total, part

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1) for each row of this part, (B, *shape)."""
        device = self._generator.device
        return torch.rand(self._total, *shape, generator=self._generator, device=device)[self._part]


def plain_draws(seed: int, total: int, device: torch.device) -> Draws:
    """Draws for a whole batch of `total` rows."""
    return Draws(seed, total, slice(0, total), device)
