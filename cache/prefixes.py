"""`teacher/<name>.zarr/<scene>`: what a frozen 2D teacher says of one scene's kept frames.

- `prefix` (F, L, D) float16, the student's targets; axis 0 is the manifest's `row`;
- `valid` (F,) bool: false where the image could not be decoded, and the row is zero;
- optional: `clip` (F, E) float16, global image embeddings; `patches` (F, N, W) float16, patch tokens.

The store's attributes say which teacher it was; `statistics/mean` and `statistics/std` (L, D) float32
are of the valid training rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cache.arrays import read_whole, write_array
from cache.card import Card, CardError
from cache.scene_group import (
    CARD_KEY,
    Listing,
    Member,
    find_member,
    group_attributes,
    missing_chunks,
    scene_card,
)

SCHEMA_VERSION = 1
KIND = "teacher's prefixes"
PREFIX, VALID = "prefix", "valid"
STATISTICS = "statistics"
FRAMES_PER_CHUNK = 64
# Where float16 ends; a teacher beyond it would be stored as infinity.
MAX_VALUE = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation (L, D) over `num_rows` valid training rows."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    num_rows: int


def write_scene(
    path: Path, arrays: Mapping[str, NDArray[Any]], valid: NDArray[np.bool_], card: Card
) -> None:
    """Write one scene's arrays, float16 with axis 0 as in `valid`, and its card last.

    Raises ValueError if a value is not finite or too large for float16.
    """
    group = zarr.create_group(path)
    for name, values in {**arrays, VALID: valid}.items():
        if name != VALID and not (np.abs(values) <= MAX_VALUE).all():
            raise ValueError(
                f"{name}: a value is not finite or beyond float16's {MAX_VALUE:.0f}; is the "
                "teacher's precision too low?"
            )
        stored = values if name == VALID else values.astype(np.float16)
        write_array(group, name, stored, rows_per_chunk=FRAMES_PER_CHUNK)
    group.update_attributes({CARD_KEY: card.to_dict()})


def read_array(store: Path, scene_id: str, name: str, member: Member | None = None) -> NDArray[Any]:
    """Return one array of one scene, checksums verified. Raises CardError.

    `member` is the scene, if it was read already.
    """
    path = store / scene_id / name
    remedy = f"; delete {path.parent} and run teacher-cache again"
    if (member or find_member(store, scene_id)) is None:
        raise CardError(f"{path.parent} is missing or incomplete; run teacher-cache again")
    if not path.is_dir():
        there = sorted(child.name for child in path.parent.iterdir() if child.is_dir())
        raise CardError(
            f"{store}: has no array {name!r}, only {', '.join(there)}; teacher-cache "
            f'with --set "teacher.arrays=[{name}]" and a teacher.name of its own makes it'
        )
    return read_whole(path, remedy)


def is_whole(store: Path, scene_id: str) -> bool:
    """True if no chunk of the scene's arrays is missing. Opens small files only."""
    arrays = [child for child in (store / scene_id).iterdir() if child.is_dir()]
    return not any(missing_chunks(array) for array in arrays)


def identity_of(store: Listing) -> dict[str, Any]:
    """Return what a store's attributes say of the teacher. Raises CardError if it is no store."""
    identity = store.attributes.get("teacher")
    if not isinstance(identity, dict):
        raise CardError(f"{store.path}: no teacher's store; run teacher-cache")
    return identity


def store_identity(store: Path) -> dict[str, Any]:
    """The same of a store that is not listed; opens one small file."""
    return identity_of(Listing(store, group_attributes(store), {}))


def compute_statistics(store: Path, scene_ids: Sequence[str]) -> Statistics:
    """Sum over the valid training rows of these scenes, in float64, in their order."""
    total: Any = 0.0
    squares: Any = 0.0
    count, shape = 0, (0, 0)
    for scene_id in scene_ids:
        card = scene_card(store, scene_id)
        assert card is not None
        if card.inputs["split"] != "train":
            continue
        rows = read_array(store, scene_id, PREFIX)[read_array(store, scene_id, VALID)]
        rows = rows.astype(np.float64)
        total, squares = total + rows.sum(axis=0), squares + (rows**2).sum(axis=0)
        count, shape = count + len(rows), rows.shape[1:]
    if not count:
        return Statistics(np.zeros(shape, np.float32), np.zeros(shape, np.float32), 0)
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    return Statistics(mean.astype(np.float32), np.sqrt(variance).astype(np.float32), count)


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write the group `statistics` to `path`."""
    group = zarr.create_group(path, attributes={"num_rows": statistics.num_rows})
    for name, values in (("mean", statistics.mean), ("std", statistics.std)):
        array = group.create_array(
            name, shape=values.shape, dtype="float32", config={"write_empty_chunks": True}
        )
        array[:] = values


def read_statistics(store: Path) -> Statistics:
    """Return the store's statistics. Raises CardError if there are none yet."""
    path = store / STATISTICS
    if not path.is_dir():
        raise CardError(f"{store}: no statistics yet; let teacher-cache run to its end")
    mean, std = (np.asarray(zarr.open_array(path / name, mode="r")[:]) for name in ("mean", "std"))
    return Statistics(mean, std, int(group_attributes(path)["num_rows"]))
