"""Which scans have labels, for each budget: drawn, nested, the same for every arm; or official lists."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.loop.random_numbers import seed_of
from stages.training.tasks.scans import read_scene_list


def count_of(percent: float, total: int) -> int:
    """How many scans a percentage is, at least one."""
    return max(1, round(total * percent / 100))


def subset(names: Sequence[str], count: int, number: int) -> list[str]:
    """So many scans of the subset of a number, sorted; a smaller one is part of a larger one.

    Raises ValueError if there are not so many.
    """
    if count > len(names):
        raise ValueError(f"{count} scans are wanted, {len(names)} are there")
    order = np.random.default_rng(seed_of("label subset", number)).permutation(len(names))
    return sorted(names[place] for place in order[:count])


def official(lists: Path, percent: float) -> list[str]:
    """The scans of a list of ScanNet's Data Efficient benchmark, `tasks/scenes/<percent>.txt` there.

    Raises ValueError if there is none.
    """
    return read_scene_list(lists / f"{percent:g}.txt")
