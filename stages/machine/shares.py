"""Whose part of the work is this process's: as torchrun numbers its processes, or as --shard says.

The one place that reads torchrun's variables.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Part `number` of `count` parts, from 0 on."""

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read `I/N`, as 0/16. Raises ValueError."""
        index, _, count = text.partition("/")
        if index.isdecimal() and count.isdecimal() and int(index) < int(count):
            return cls(int(index), int(count))
        raise ValueError(f"{text}: expected I/N with I from 0 to N-1, such as 0/16")

    def of(self, items: Sequence[T]) -> list[T]:
        """This share of items: every `count`-th one, from the `number`-th on."""
        return list(items[self.number :: self.count])

    @property
    def is_first(self) -> bool:
        """True for the process that speaks and writes."""
        return self.number == 0


WHOLE = Share()


def own_share() -> Share:
    """This process among those that torchrun started, over all nodes; the whole if it did not."""
    return Share(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


def local_rank() -> int | None:
    """The number of this process on its node, which is its GPU's; None without torchrun."""
    number = os.environ.get("LOCAL_RANK")
    return None if number is None else int(number)
