"""`objects/<name>.zarr/<split>`: shapes of an object data set, one split an artifact.

- `points` (T, 3) float32 as the source has them, all shapes one after the other; the first
  `fps_points` of each shape are in the order of farthest point sampling, so that sampling n of them
  is taking the first n;
- `start` (N + 1,) int64: shape i has rows `start[i]` to `start[i + 1]`;
- `label` (N,) int16; optional `normals` (T, 3) float16, `part` (T,) uint8.

The card's details name the shapes and the classes, and of parts which belong to which class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cache.arrays import read_whole, write_array
from cache.card import Card, CardError
from cache.scene_group import CARD_KEY, Member, find_member, list_scenes

SCHEMA_VERSION = 1
KIND = "objects"
ROWS_PER_CHUNK = 1 << 18
_TYPES = {
    "points": "float32",
    "normals": "float16",
    "part": "uint8",
    "start": "int64",
    "label": "int16",
}


@dataclass(frozen=True)
class Objects:
    """One split in memory. `classes` name the labels; `parts` are each class's part numbers."""

    points: NDArray[np.float32]
    start: NDArray[np.int64]
    label: NDArray[np.int16]
    classes: tuple[str, ...]
    fps_points: int
    normals: NDArray[np.float16] | None = None
    part: NDArray[np.uint8] | None = None
    parts: tuple[range, ...] = ()
    names: tuple[str, ...] = ()
    fingerprint: str = field(default="", compare=False)

    def __len__(self) -> int:
        """The number of shapes."""
        return len(self.label)


def write_objects(path: Path, arrays: Mapping[str, NDArray[Any]], card: Card) -> None:
    """Write one split's arrays, and its card last."""
    group = zarr.create_group(path)
    for name, values in arrays.items():
        write_array(group, name, values.astype(_TYPES[name]), rows_per_chunk=ROWS_PER_CHUNK)
    group.update_attributes({CARD_KEY: card.to_dict()})


def read_objects(store: Path, split: str, member: Member | None = None) -> Objects:
    """Read one split, checksums verified. Raises CardError if it is not there or not whole.

    `member` is the split, if it was read already.
    """
    path = store / split
    member = member or find_member(store, split)
    if member is None:
        there = ", ".join(list_scenes(store)) or "nothing"
        raise CardError(f"{store}: has no split {split!r}, only {there}; run prepare")
    remedy = f"; delete {path} and run prepare again"
    found = {name: read_whole(path / name, remedy) for name in _TYPES if (path / name).is_dir()}
    card = member.card
    details = card.details
    objects = Objects(
        points=found["points"],
        start=found["start"],
        label=found["label"],
        classes=tuple(details["classes"]),
        fps_points=details["fps_points"],
        normals=found.get("normals"),
        part=found.get("part"),
        parts=tuple(range(*bounds) for bounds in details["parts"]),
        names=tuple(details["names"]),
        fingerprint=card.fingerprint,
    )
    if len(objects.start) != len(objects) + 1 or objects.start[-1] != len(objects.points):
        raise CardError(f"{path}: its arrays do not fit each other; run prepare again")
    return objects


def part_bounds(parts: Sequence[range]) -> list[tuple[int, int]]:
    """Write ranges as a card has them."""
    return [(item.start, item.stop) for item in parts]
