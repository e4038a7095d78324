"""A Zarr group on local disk with one member a scene; a member's card says that it is complete."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cache.card import Card, CardError
from cache.commit import commit, partial_path

CARD_KEY = "card"
_METADATA = "zarr.json"


@dataclass(frozen=True)
class Member:
    """A complete scene: its card, and the Zarr metadata that the card lay in."""

    card: Card
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """A store and its complete scenes, sorted by id: read once a command, and handed on."""

    path: Path
    attributes: Mapping[str, Any]
    members: Mapping[str, Member]

    @classmethod
    def read(cls, store: Path) -> Self:
        """List a store, empty if it is not there; opens one small file a scene. Raises CardError."""
        names = sorted(child.name for child in store.iterdir()) if store.is_dir() else []
        found = {name: member for name in names if (member := find_member(store, name))}
        return cls(store, group_attributes(store), found)

    def card(self, scene_id: str) -> Card:
        """The card of a scene that is listed."""
        return self.members[scene_id].card

    def __contains__(self, scene_id: str) -> bool:
        """Whether a scene is complete."""
        return scene_id in self.members


def create_group(store: Path, attributes: Mapping[str, Any]) -> None:
    """Make `store` a Zarr group if it is none yet. One process at a time: hold a lock."""
    if (store / _METADATA).exists():
        return
    replace_attributes(store, attributes)


def replace_attributes(store: Path, attributes: Mapping[str, Any]) -> None:
    """Write a group's attributes, all at once. One process at a time: hold a lock."""
    # By the Zarr v3 specification; zarr-python would write it in a thread that outlives Ctrl-C.
    group = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    with partial_path(store / _METADATA) as partial:
        partial.write_text(json.dumps(group, indent=2))
        commit(partial, store / _METADATA)


def group_attributes(store: Path) -> dict[str, Any]:
    """Return the attributes of a group or an array, {} if there is none. Opens one small file."""
    return dict(read_metadata(store).get("attributes", {}))


def list_scenes(store: Path) -> list[str]:
    """Return the ids of all complete scenes, sorted."""
    return list(Listing.read(store).members)


def find_member(store: Path, scene_id: str) -> Member | None:
    """Return a complete scene, None if there is none. Opens one small file. Raises CardError."""
    metadata = read_metadata(store / scene_id)
    raw = metadata.get("attributes", {}).get(CARD_KEY)
    if raw is None:
        return None
    return Member(Card.from_dict(raw, where=str(store / scene_id)), metadata)


def scene_card(store: Path, scene_id: str) -> Card | None:
    """Return the card of a complete scene, None if there is none. Opens one small file."""
    member = find_member(store, scene_id)
    return member.card if member else None


def missing_chunks(array: Path, metadata: Mapping[str, Any] | None = None) -> int:
    """Return how many chunk files of an array are not there: Zarr would read zeros.

    `metadata` is the array's, if it was read already.
    """
    metadata = read_metadata(array) if metadata is None else metadata
    if not metadata:
        return 1
    chunks = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [-(-size // chunk) for size, chunk in zip(metadata["shape"], chunks, strict=True)]
    indices = itertools.product(*map(range, counts))
    return sum(not array.joinpath("c", *map(str, index)).is_file() for index in indices)


def read_metadata(node: Path) -> dict[str, Any]:
    """Read a group's or an array's Zarr metadata, {} if there is none. Raises CardError."""
    path = node / _METADATA
    try:
        metadata = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise CardError(f"{path}: not Zarr metadata: {error}; delete {node}") from None
    if not isinstance(metadata, dict):
        raise CardError(f"{path}: not Zarr metadata; delete {node}")
    return metadata
