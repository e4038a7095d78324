"""`captions.parquet`: pairs of an image and a sentence about it, several sentences an image."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cache.card import Card

SCHEMA_VERSION = 1
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
        writer.add_key_value_metadata({b"distill3d": json.dumps(card.to_dict())})
