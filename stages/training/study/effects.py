"""What arms differ by: paired differences, and their interval by a hierarchical bootstrap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS, LEVEL = 10_000, 0.95
FEWEST = 3  # pre-trainings for an interval

Place = tuple[int, int, int]  # of a number: its pre-training, its subset of labels, its seed
Numbers = Mapping[Place, float]


@dataclass(frozen=True)
class Effect:
    """The mean of paired differences; `interval` is None with fewer than three pre-trainings.

    `improved` is the share of pairs in which the first arm is larger, ties half. `by_pre_training` are
    the means over labels and seeds of each.
    """

    mean: float
    interval: tuple[float, float] | None
    improved: float
    by_pre_training: tuple[float, ...]
    pairs: int

    @property
    def is_clear(self) -> bool:
        """Whether there is an interval, and 0 is not in it."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def effect(first: Numbers, second: Numbers) -> Effect:
    """What the first arm is above the second one, of numbers at the same places.

    Raises ValueError if they have no place in common.
    """
    places = sorted(first.keys() & second.keys())
    if not places:
        raise ValueError("no numbers of both arms at the same places")
    difference = {place: first[place] - second[place] for place in places}
    values = np.array(list(difference.values()))
    tree = _tree(difference)
    by_pre_training = tuple(
        float(np.mean([np.mean(own) for own in subsets])) for subsets in tree.values()
    )
    return Effect(
        mean=float(np.mean(by_pre_training)),
        interval=_interval(list(tree.values())) if len(tree) >= FEWEST else None,
        improved=float(np.mean((values > 0) + 0.5 * (values == 0))),
        by_pre_training=by_pre_training,
        pairs=len(places),
    )


def _tree(numbers: Numbers) -> dict[int, list[NDArray[np.float64]]]:
    """Numbers by pre-training, in it by subset."""
    found: dict[int, dict[int, list[float]]] = {}
    for (pre_training, labels, _), value in sorted(numbers.items()):
        found.setdefault(pre_training, {}).setdefault(labels, []).append(value)
    return {one: [np.array(own) for own in subsets.values()] for one, subsets in found.items()}


def _interval(tree: Sequence[Sequence[NDArray[np.float64]]]) -> tuple[float, float]:
    """Percentiles of the mean over draws: of pre-trainings, in each of subsets, in each of seeds."""
    generator = np.random.default_rng(0)
    chosen = generator.integers(len(tree), size=(DRAWS, len(tree)))
    means = np.zeros(DRAWS)
    for place in range(len(tree)):
        of_each = np.stack([_drawn_means(subsets, generator) for subsets in tree])
        means += of_each[chosen[:, place], np.arange(DRAWS)] / len(tree)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _drawn_means(
    subsets: Sequence[NDArray[np.float64]], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Means (DRAWS,) of one pre-training's numbers: subsets are drawn, in each drawn one its seeds."""
    length = np.array([len(own) for own in subsets])
    padded = np.zeros((len(subsets), length.max()))
    for row, own in zip(padded, subsets, strict=True):
        row[: len(own)] = own
    chosen = generator.integers(len(subsets), size=(DRAWS, len(subsets)))
    seeds = generator.random((DRAWS, len(subsets), length.max()))
    values = padded[chosen[..., None], (seeds * length[chosen][..., None]).astype(int)]
    is_own = np.arange(length.max()) < length[chosen][..., None]
    found: NDArray[np.float64] = (values.sum(axis=-1, where=is_own) / length[chosen]).mean(axis=1)
    return found
