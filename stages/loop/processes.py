"""Several processes of one training, as torchrun starts them; alone, everything here does nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from stages.machine.shares import own_share

# Longer than any evaluation, for which all wait.
TIMEOUT = timedelta(hours=4)


@dataclass(frozen=True)
class Processes:
    """Which of how many this one is. The first one evaluates, writes and speaks."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """True for the one that writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Let gradients be averaged over all processes."""
        if self.count == 1:
            return model
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def any(self, flag: bool) -> bool:
        """True everywhere if it is true anywhere."""
        return bool(self.largest(int(flag)))

    def largest(self, number: int) -> int:
        """The largest of all processes' numbers."""
        if self.count == 1:
            return number
        told = torch.tensor(number)
        dist.all_reduce(told, op=dist.ReduceOp.MAX, group=_talk())
        return int(told)

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over all processes."""
        if self.count > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier(group=_talk())


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started, until the context ends; within another, stay joined.

    Processes can join once: several trainings in one command share an outer context.
    """
    if dist.is_available() and dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size())
        return
    count = own_share().count
    if count == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        _GROUPS.clear()
        dist.destroy_process_group()


def own_slices(batch: int, accumulate: int, processes: Processes) -> list[slice]:
    """The parts of a batch that this process does, one after the other.

    Raises ValueError if it cannot be split evenly.
    """
    parts = processes.count * accumulate
    if batch % parts:
        raise ValueError(
            f"a batch of {batch} cannot be split evenly over {processes.count} processes with "
            f"{accumulate} micro-batches each"
        )
    size = batch // parts
    first = processes.rank * accumulate
    return [slice(n * size, (n + 1) * size) for n in range(first, first + accumulate)]


def mean_over_processes(value: torch.Tensor) -> torch.Tensor:
    """The mean of a count over all processes, by which a loss's sum is divided.

    Gradients are averaged over processes, so a sum over rows divided by the mean count is the mean
    over all rows of the batch, however unevenly they lie.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


_GROUPS: list[dist.ProcessGroup] = []


def _talk() -> dist.ProcessGroup:
    """A group of its own for flags, on the CPU, so that no GPU waits for them."""
    if not _GROUPS:
        _GROUPS.append(dist.new_group(backend="gloo", timeout=TIMEOUT))
    return _GROUPS[0]
