"""Sentences about what a frame shows: things, how many, where they stand, the kind of room.

They come from the ids that the renderer saw, so they are true; nothing unseen is named.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.sample.rooms.placing import Placed, Room
from stages.sample.things.labels import LABELS

SHELL = frozenset({"wall", "floor", "ceiling"})
MIN_SHARE = 0.008  # of the pixels: less is not worth a word
NEXT_TO_M = 0.45
_NUMBERS = ("no", "a", "two", "three", "four", "five", "six")
_ROOM_NOUNS = {"lounge": "living room"}


def describe(
    room: Room, owner: NDArray[np.int64], count: int, generator: np.random.Generator
) -> list[str]:
    """Write `count` differently worded sentences about a frame.

    `owner` is (H, W), the index of the object that each pixel shows.
    """
    seen = visible_objects(room, owner)
    place = _ROOM_NOUNS.get(room.kind, room.kind)
    a_place = _one(place)
    if not seen:
        bare = (f"a bare wall in {a_place}", f"an empty corner of {a_place}",
                f"the wall of {a_place}", f"nothing but walls in {a_place}")  # fmt: skip
        return [bare[i % len(bare)] for i in generator.permutation(count)]
    relations = _relations(room, seen)
    sentences = []
    for number in range(count):
        if relations and number % 2:
            said = relations[int(generator.integers(len(relations)))]
            forms: tuple[str, ...] = (
                f"{said} in {a_place}",
                f"there is {said}",
                f"{a_place} with {said}",
                said,
            )
        else:
            things = _listed(room, seen, generator)
            forms = (
                f"{a_place} with {things}",
                f"{things} in {a_place}",
                f"a photo of {things}",
                f"a view of {a_place} showing {things}",
                f"this {place} has {things}",
            )
        sentences.append(forms[int(generator.integers(len(forms)))])
    return sentences


def visible_objects(room: Room, owner: NDArray[np.int64]) -> list[int]:
    """Indices of the things, walls and the like left out, that fill enough of (H, W), largest first."""
    count = np.bincount(owner[owner >= 0], minlength=len(room.objects))
    order = np.argsort(-count, kind="stable")
    large = [int(i) for i in order if count[i] >= MIN_SHARE * owner.size]
    return [i for i in large if room.objects[i].label not in SHELL]


def _listed(room: Room, seen: Sequence[int], generator: np.random.Generator) -> str:
    """Name up to four of the things seen, the large ones more often, with their numbers."""
    counts = Counter(LABELS[room.objects[i].label].noun for i in seen)
    nouns = list(counts)  # largest first
    weight = 0.6 ** np.arange(len(nouns))
    number = min(len(nouns), int(generator.integers(1, 5)))
    chosen = generator.choice(len(nouns), number, replace=False, p=weight / weight.sum())
    words = [_counted(nouns[i], counts[nouns[i]]) for i in chosen]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _counted(noun: str, count: int) -> str:
    if count == 1:
        return _one(noun)
    plural = next(label.plural for label in LABELS.values() if label.noun == noun)
    return f"{_NUMBERS[count] if count < len(_NUMBERS) else 'many'} {plural}"


def _one(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _relations(room: Room, seen: Sequence[int]) -> list[str]:
    """Say what stands on what, and what is next to what, among the things seen."""
    said = []
    for first in seen:
        for second in seen:
            if first != second:
                relation = _relation(room.objects[first], room.objects[second])
                if relation:
                    nouns = [LABELS[room.objects[i].label].noun for i in (first, second)]
                    said.append(f"{_one(nouns[0])} {relation} {_one(nouns[1])}")
    return said


def _relation(first: Placed, second: Placed) -> str | None:
    low, high = first.bounds
    under, top = second.bounds
    middle = (low + high)[:2] / 2
    above = (middle > under[:2]).all() and (middle < top[:2]).all()
    if above and second.piece.top_m is not None and abs(low[2] - second.piece.top_m) < 0.05:
        return "on"
    if first.label == "sink" and second.label == "counter" and above:
        return "in"
    gap = np.maximum(np.maximum(under[:2] - high[:2], low[:2] - top[:2]), 0)
    both_stand = low[2] < 0.05 and under[2] < 0.05 and not above
    return "next to" if both_stand and np.linalg.norm(gap) < NEXT_TO_M else None
