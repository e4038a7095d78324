"""Zarr arrays as all formats here have them: Blosc, CRC32C, no chunk left out; read with checks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import LocalStore, StorePath

from cache.card import CardError
from cache.scene_group import missing_chunks, read_metadata


def write_array(group: zarr.Group, name: str, values: NDArray[Any], *, rows_per_chunk: int) -> None:
    """Write an array, cut along its first axis."""
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(max(1, min(rows_per_chunk, len(values))), *values.shape[1:]),
        dtype=values.dtype,
        compressors=[
            BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", typesize=values.itemsize),
            Crc32cCodec(),
        ],
        config={"write_empty_chunks": True},  # a file that is not there is damage, not zeros
    )
    array[:] = values


def read_whole(path: Path, remedy: str, metadata: Mapping[str, Any] | None = None) -> NDArray[Any]:
    """Read an array, checksums verified. Raises CardError, with the remedy, if it is not whole.

    Its small file is read once, or not at all if `metadata` is what it says.
    """
    metadata = read_metadata(path) if metadata is None else metadata
    if missing := missing_chunks(path, metadata):
        raise CardError(f"{path}: {missing} of its chunks are missing{remedy}")
    try:
        return np.asarray(_opened(path, metadata)[:])
    except (ValueError, RuntimeError) as error:
        raise CardError(f"{path}: damaged: {error}{remedy}") from None


def _opened(path: Path, metadata: Mapping[str, Any]) -> zarr.Array[Any]:
    """An array by its metadata, which `zarr.open_array` would read from the disk again."""
    store = StorePath(LocalStore(path, read_only=True))
    return zarr.Array(zarr.AsyncArray.from_dict(store, dict(metadata)))
