"""A Zarr group on local disk with one member a scene; a member's card says that it is complete."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cache.card import Card, CardError
from cache.commit import commit, partial_path

CARD_KEY = "card"
_METADATA = "zarr.json"


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
    return dict(_metadata(store).get("attributes", {}))


def list_scenes(store: Path) -> list[str]:
    """Return the ids of all complete scenes, sorted."""
    if not store.is_dir():
        return []
    return sorted(child.name for child in store.iterdir() if scene_card(store, child.name))


def scene_card(store: Path, scene_id: str) -> Card | None:
    """Return the card of a complete scene, None if there is none. Opens one small file."""
    raw = group_attributes(store / scene_id).get(CARD_KEY)
    return Card.from_dict(raw, where=str(store / scene_id)) if raw is not None else None


def missing_chunks(array: Path) -> int:
    """Return how many chunk files of an array are not there: Zarr would read zeros."""
    metadata = _metadata(array)
    if not metadata:
        return 1
    chunks = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [-(-size // chunk) for size, chunk in zip(metadata["shape"], chunks, strict=True)]
    indices = itertools.product(*map(range, counts))
    return sum(not array.joinpath("c", *map(str, index)).is_file() for index in indices)


def _metadata(node: Path) -> dict[str, Any]:
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
