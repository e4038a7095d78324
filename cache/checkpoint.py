"""A checkpoint of a training: a folder that rebuilds the model, and lets the training go on.

- `weights.safetensors`: the model's parameters and buffers, by name;
- `state.safetensors`: what else the training needs to go on (moments of the optimizer, ...); left
  out of checkpoints that are only to be used;
- `meta.json`: `model` (what rebuilds the network), `run` (the card of the training), `position`
  (where it stood), `metrics`, and the sha256 of the files. Written last.

No pickle anywhere, so a stranger's checkpoint is only data.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cache.card import Card, CardError, JsonDict
from cache.commit import partial_path, remove

SCHEMA_VERSION = 1
WEIGHTS, STATE, META = "weights.safetensors", "state.safetensors", "meta.json"
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Meta:
    """What a checkpoint says of itself, as plain JSON types."""

    model: JsonDict
    run: Card
    position: JsonDict
    metrics: JsonDict = field(default_factory=dict)
    sha256: JsonDict = field(default_factory=dict)


def write_checkpoint(path: Path, meta: Meta, weights: Arrays, state: Arrays | None) -> None:
    """Write a checkpoint instead of the one that is there, which stays until the new one is whole."""
    with partial_path(path) as partial:
        partial.mkdir()
        hashes = {}
        for name, arrays in ((WEIGHTS, weights), (STATE, state)):
            if arrays is not None:
                save_file(
                    {key: np.asarray(a, order="C") for key, a in arrays.items()}, partial / name
                )
                hashes[name] = _sha256(partial / name)
        raw = {
            "schema_version": SCHEMA_VERSION,
            **asdict(meta),
            "run": meta.run.to_dict(),
            "sha256": hashes,
        }
        (partial / META).write_text(json.dumps(raw, indent=2))
        path.parent.mkdir(parents=True, exist_ok=True)
        _exchange(partial, path)
        remove(_previous(path))


def _exchange(new: Path, path: Path) -> None:
    """Put a new one in the place of the old, which moves aside."""
    while new.exists():
        if path.exists():
            remove(_previous(path))
            os.replace(path, _previous(path))
        try:
            os.replace(new, path)
        except OSError:
            if not path.exists():
                raise
            # One who looked at this moment has put the previous one back.


def has_checkpoint(path: Path) -> bool:
    """True if there is one; puts back the previous one if a run was killed while replacing it."""
    if not path.exists() and _previous(path).exists():
        with suppress(OSError):  # the one who replaces it was faster
            os.replace(_previous(path), path)
    return (path / META).is_file()


def read_meta(path: Path) -> Meta:
    """Return what a checkpoint says of itself. Raises CardError."""
    if not has_checkpoint(path):
        raise CardError(f"{path}: no checkpoint; expected a folder with {META} and {WEIGHTS}")
    try:
        raw = json.loads((path / META).read_bytes())
        if raw["schema_version"] != SCHEMA_VERSION:
            raise CardError(
                f"{path}: a checkpoint of schema version {raw['schema_version']}; this version of "
                f"distill3d reads {SCHEMA_VERSION}"
            )
        run = Card.from_dict(raw["run"], where=str(path))
        return Meta(raw["model"], run, raw["position"], raw["metrics"], raw["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, CardError):
            raise
        raise CardError(f"{path / META}: not a checkpoint's: {error!r}") from None


def read_arrays(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """Return all arrays of WEIGHTS or STATE. Raises CardError."""
    try:
        return load_file(path / name)
    except FileNotFoundError:
        raise CardError(f"{path}: has no {name}") from None
    except (SafetensorError, OSError) as error:
        raise CardError(f"{path / name}: damaged: {error}") from None


def damage(path: Path) -> list[str]:
    """Read every byte and name the files that are not as they were written."""
    problems = []
    for name, digest in read_meta(path).sha256.items():
        if not (path / name).is_file():
            problems.append(f"{path / name} is missing")
        elif _sha256(path / name) != digest:
            problems.append(f"{path / name} is not as it was written")
    return problems


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
