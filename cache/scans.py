"""`scans/<set>.zarr/<scene>`: an annotated mesh's vertices, aligned to its axes, z up, metres.

- `vertices` (V, 3) float32 in the mesh's order, `colors` (V, 3) uint8;
- of annotated scenes `semantic` (V,) uint8 nyu40 ids and `instance` (V,) uint16, both 0 where nothing
  was annotated, and `boxes` (I, 7) float64: centre, size, nyu40 id of instances 1, 2, ...; zeros where
  an instance has no vertex.

The store's attributes say which classes are judged (see scene_set). A scene's card has in its details
the alignment (16 numbers, row-major) from the mesh's own frame.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cache.arrays import read_whole, write_array
from cache.card import Card, CardError
from cache.scene_group import CARD_KEY, Listing, Member, find_member

SCHEMA_VERSION = 1
KIND = "annotated scan"
_TYPES = {
    "vertices": "float32", "colors": "uint8", "semantic": "uint8", "instance": "uint16", "boxes": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """One scene in memory; labels and boxes are None where the scene is not annotated."""

    vertices: NDArray[np.float32]
    colors: NDArray[np.uint8]
    semantic: NDArray[np.uint8] | None
    instance: NDArray[np.uint16] | None
    boxes: NDArray[np.float64] | None
    split: str
    alignment: NDArray[np.float64]
    fingerprint: str


def write_scan(path: Path, arrays: Mapping[str, NDArray[Any]], card: Card) -> None:
    """Write one scene's arrays, and its card last. Raises ValueError if a number is too large."""
    for name, values in arrays.items():
        kind = np.dtype(_TYPES[name])
        if kind.kind == "u" and values.size and int(values.max()) > np.iinfo(kind).max:
            raise ValueError(f"{name}: {int(values.max())} is more than {kind} can hold")
    group = zarr.create_group(path)
    for name, values in arrays.items():
        write_array(group, name, values.astype(_TYPES[name]), rows_per_chunk=max(1, len(values)))
    group.update_attributes({CARD_KEY: card.to_dict()})


def read_scan(store: Path, scene_id: str, member: Member | None = None) -> Scan:
    """Read one scene, checksums verified. Raises CardError if it is not there or not whole.

    `member` is the scene, if it was read already.
    """
    path = store / scene_id
    member = member or find_member(store, scene_id)
    if member is None:
        raise CardError(f"{path} is missing or incomplete; run prepare {store.stem} again")
    card = member.card
    remedy = f"; delete {path} and run prepare {store.stem} again"
    found = {name: read_whole(path / name, remedy) for name in _TYPES if (path / name).is_dir()}
    return Scan(
        vertices=found["vertices"],
        colors=found["colors"],
        semantic=found.get("semantic"),
        instance=found.get("instance"),
        boxes=found.get("boxes"),
        split=card.inputs["split"],
        alignment=np.array(card.details["alignment"], np.float64).reshape(4, 4),
        fingerprint=card.fingerprint,
    )


def scenes_of(listing: Listing, split: str, *, annotated: bool = True) -> Iterator[str]:
    """Names of the scenes of a split, with annotations or also without, in order."""
    for scene_id, member in listing.members.items():
        card = member.card
        if card.inputs["split"] == split and (card.details["annotated"] or not annotated):
            yield scene_id
