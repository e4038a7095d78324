"""Zarr arrays as all formats here have them: Blosc, CRC32C, no chunk left out; read with checks."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from cache.card import CardError
from cache.scene_group import missing_chunks


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


def read_whole(path: Path, remedy: str) -> NDArray[Any]:
    """Read an array, checksums verified. Raises CardError, with the remedy, if it is not whole."""
    if missing := missing_chunks(path):
        raise CardError(f"{path}: {missing} of its chunks are missing{remedy}")
    try:
        return np.asarray(zarr.open_array(path, mode="r")[:])
    except (ValueError, RuntimeError) as error:
        raise CardError(f"{path}: damaged: {error}{remedy}") from None
