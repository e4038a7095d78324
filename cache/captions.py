"""`captions.parquet`: pairs of an image and a sentence about it, several sentences an image."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cache.card import Card, CardError

SCHEMA_VERSION = 1
_CARD_KEY = b"distill3d"
ROWS_PER_GROUP = 256
_FEATURES = {
    "image": {"_type": "Image"},
    "caption": {"dtype": "string", "_type": "Value"},
    "scene_id": {"dtype": "string", "_type": "Value"},
    "frame_index": {"dtype": "int32", "_type": "Value"},
    "split": {"dtype": "string", "_type": "Value"},
}
SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("caption", pa.string()),
        ("scene_id", pa.string()),
        ("frame_index", pa.int32()),
        ("split", pa.string()),
    ],
    metadata={b"huggingface": json.dumps({"info": {"features": _FEATURES}}).encode()},
)


@dataclass(frozen=True)
class CaptionedImage:
    """One encoded image and what is said of it."""

    image: bytes
    captions: tuple[str, ...]
    scene_id: str
    frame_index: int
    split: str


def write_captions(path: Path, images: Iterable[CaptionedImage], card: Card) -> None:
    """Write one row a caption; an image's bytes are stored once a row group."""
    with pq.ParquetWriter(
        path,
        SCHEMA,
        compression="none",
        use_dictionary=True,
        dictionary_pagesize_limit=1 << 26,
        write_statistics=["caption", "scene_id", "frame_index", "split"],
        write_page_checksum=True,
    ) as writer:
        rows = []
        for item in images:
            source = {"bytes": item.image, "path": f"{item.scene_id}/{item.frame_index:06d}.jpg"}
            rows += [
                {
                    "image": source,
                    "caption": caption,
                    "scene_id": item.scene_id,
                    "frame_index": item.frame_index,
                    "split": item.split,
                }
                for caption in item.captions
            ]
            if len(rows) >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
        writer.add_key_value_metadata({_CARD_KEY: json.dumps(card.to_dict())})


def read_captions(path: Path, split: str | None = None) -> Iterator[CaptionedImage]:
    """Yield the images of one split, or of all, each with all its sentences, in the file's order.

    Rows of one image stand one after another. One row group is in memory at a time. Files that
    others made need the columns `image` (bytes, or Hugging Face's struct) and `caption` alone:
    without a `split`, a tenth of the images is `val`, chosen by their bytes. Raises CardError if
    the file is cut off, damaged, or lacks these columns.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = [name for name in SCHEMA.names if name in file.schema_arrow.names]
            if not {"image", "caption"} <= set(columns):
                there = ", ".join(file.schema_arrow.names)
                raise CardError(f"{path}: expected the columns image and caption, found {there}")
            batches = file.iter_batches(ROWS_PER_GROUP, columns=columns)
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, (key, group) in enumerate(groupby(rows, key=_image_key)):
                item = _captioned_image(path, number, key, list(group))
                if split is None or item.split == split:
                    yield item
    except (pa.ArrowException, OSError) as error:
        raise CardError(f"{path}: cannot be read: {error}") from None


def captions_card(path: Path) -> Card | None:
    """Return the card, None for a file that others made. Raises CardError if it is not whole."""
    try:
        raw = (pq.read_metadata(path).metadata or {}).get(_CARD_KEY)
    except (pa.ArrowException, OSError) as error:
        raise CardError(f"{path}: cannot be read: {error}") from None
    return Card.from_dict(json.loads(raw), where=str(path)) if raw else None


def _image_key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What rows of one image share: where it comes from, or else its bytes."""
    if "scene_id" in row and "frame_index" in row:
        return row["scene_id"], row["frame_index"], row.get("split")
    image = row["image"]
    return (image["bytes"] if isinstance(image, dict) else image,)


def _captioned_image(
    path: Path, number: int, key: tuple[Any, ...], rows: list[dict[str, Any]]
) -> CaptionedImage:
    first = rows[0]
    image = first["image"]["bytes"] if isinstance(first["image"], dict) else first["image"]
    captions = tuple(row["caption"] for row in rows)
    if not isinstance(image, bytes) or not all(isinstance(text, str) for text in captions):
        raise CardError(f"{path}: image {number}: expected encoded bytes and a text as its caption")
    drawn = int.from_bytes(hashlib.sha256(image).digest()[:8], "little")
    return CaptionedImage(
        image=image,
        captions=captions,
        scene_id=first.get("scene_id") or "",
        frame_index=first.get("frame_index", number),
        split=first.get("split") or ("val" if drawn % 10 == 0 else "train"),
    )
