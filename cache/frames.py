"""`frames/<scene>.parquet`: the manifest of one scene's sampled frames, with the original images.

One row a sampled frame, kept or not; a rejected one has its reason as `status`, no `row`, no image.
Readable by pandas, DuckDB and Hugging Face `datasets` (which shows the images) as it is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from cache.card import Card, CardError

SCHEMA_VERSION = 1
KEPT = "kept"
ROWS_PER_GROUP = 32
_CARD_KEY = b"distill3d"
_REMEDY = "; delete it and run extract again"

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("scene_id", pa.string()),
    ("frame_index", pa.int32()),  # in the .sens
    ("status", pa.string()),  # "kept", or why it was rejected
    ("row", pa.int32()),  # index into the scene's arrays, null if rejected
    ("split", pa.string()),
    ("timestamp_color", pa.uint64()),  # microseconds
    ("timestamp_depth", pa.uint64()),
    ("depth_intrinsics", pa.list_(pa.float32(), 9)),  # (3, 3) row-major, pixels
    ("color_intrinsics", pa.list_(pa.float32(), 9)),
    ("depth_to_color", pa.list_(pa.float32(), 16)),  # (4, 4) row-major, metres
    ("depth_size", pa.list_(pa.int32(), 2)),  # width, height
    ("color_size", pa.list_(pa.int32(), 2)),
    ("camera_to_world", pa.list_(pa.float32(), 16)),  # (4, 4) row-major, metres
    ("pose_valid", pa.bool_()),
    ("num_valid_depth", pa.int32()),  # pixels that can be drawn; null if depth was not read
    ("num_too_far", pa.int32()),  # pixels dropped: beyond max_depth_m, or 65535
    ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
]
MANIFEST_COLUMNS = [name for name, _ in _FIELDS if name != "image"]


def _hugging_face_feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    if name == "image":
        return {"_type": "Image"}
    if pa.types.is_fixed_size_list(kind):
        feature = _hugging_face_feature(name, kind.value_type)
        return {"feature": feature, "length": kind.list_size, "_type": "Sequence"}
    dtype = "float32" if pa.types.is_float32(kind) else str(kind)
    return {"dtype": dtype, "_type": "Value"}


def _schema() -> pa.Schema:
    features = {name: _hugging_face_feature(name, kind) for name, kind in _FIELDS}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return pa.schema(_FIELDS, metadata=metadata)


SCHEMA = _schema()


class FramesWriter:
    """Writes one scene's rows as they come, a row group at a time; a context manager."""

    def __init__(self, path: Path) -> None:
        scalars = [name for name, kind in _FIELDS if not pa.types.is_nested(kind)]
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="none",  # nearly all of it is JPEG
            use_dictionary=["scene_id", "status", "split"],
            write_statistics=scalars,
            write_page_checksum=True,
        )
        self._rows: list[Mapping[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row: every column of `SCHEMA`, as plain Python values."""
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def finish(self, card: Card) -> None:
        """Write what is left, and the card into the file's metadata."""
        self._flush()
        self._writer.add_key_value_metadata({_CARD_KEY: json.dumps(card.to_dict())})

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
            self._rows = []


def frames_path(frames: Path, scene_id: str) -> Path:
    """Where one scene's manifest lies."""
    return frames / f"{scene_id}.parquet"


def read_frames(path: Path, columns: Sequence[str] = MANIFEST_COLUMNS) -> pa.Table:
    """Read columns of one scene's manifest, checksums verified. Raises CardError."""
    with _open(path) as file, _explained(path):
        return file.read(list(columns))


def iter_images(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (row, encoded image) of the kept frames in order, one row group in memory at a time."""
    with _open(path) as file, _explained(path):
        for batch in file.iter_batches(ROWS_PER_GROUP, columns=["row", "image"]):
            for item in batch.to_pylist():
                if item["row"] is not None:
                    yield item["row"], item["image"]["bytes"]


def frames_card(path: Path) -> Card:
    """Return the card of a manifest, and check its columns. Raises CardError."""
    with _open(path) as file:
        metadata = file.metadata.metadata or {}
        if not file.schema_arrow.equals(SCHEMA):
            raise CardError(f"{path}: not a frames manifest of schema version {SCHEMA_VERSION}")
    raw = metadata.get(_CARD_KEY)
    return Card.from_dict(json.loads(raw) if raw else None, where=str(path))


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise CardError(f"{path} is missing; run extract again") from None
    except pa.ArrowInvalid as error:
        raise CardError(f"{path}: not a whole Parquet file: {error}{_REMEDY}") from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:  # a checksum that does not fit, a page cut off
        raise CardError(f"{path}: damaged: {error}{_REMEDY}") from None
