"""`labels.parquet`: which classes the kept frames of each scene show, and on which share of their pixels.

One row a frame: `label` are raw categories of ScanNet's table, `nyu40id` their classes, `share` of all pixels;
a frame that shows nothing labelled has empty lists.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cache.card import Card, CardError
from cache.commit import commit, partial_path

KIND, SCHEMA_VERSION = "frame labels", 1
_CARD_KEY = b"distill3d"
SCHEMA = pa.schema(
    [
        ("scene_id", pa.string()),
        ("frame_index", pa.int32()),
        ("label", pa.list_(pa.string())),
        ("nyu40id", pa.list_(pa.int16())),
        ("share", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True)
class FrameLabels:
    """What one frame shows: raw categories, their NYU-40 classes, and the share of pixels of each."""

    scene_id: str
    frame_index: int
    label: tuple[str, ...]
    nyu40id: tuple[int, ...]
    share: tuple[float, ...]


def write_frame_labels(path: Path, frames: Iterable[FrameLabels], card: Card) -> None:
    """Write all frames at once; nothing half-written is left."""
    rows = [vars(frame) for frame in frames]
    table = pa.Table.from_pylist(rows, SCHEMA)
    table = table.replace_schema_metadata({_CARD_KEY: json.dumps(card.to_dict()).encode()})
    with partial_path(path) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
        commit(partial, path)


def read_frame_labels(path: Path) -> dict[tuple[str, int], FrameLabels]:
    """Frames by scene and number. Raises CardError if the file is not there or not whole."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise CardError(f"{path}: not there; run label-frames") from None
    except (pa.ArrowException, OSError) as error:
        raise CardError(f"{path}: damaged: {error}; delete it and run label-frames again") from None
    if not table.schema.remove_metadata().equals(SCHEMA):
        raise CardError(f"{path}: not frame labels of schema version {SCHEMA_VERSION}")
    found = (
        FrameLabels(
            row["scene_id"], row["frame_index"], tuple(row["label"]), tuple(row["nyu40id"]), tuple(row["share"])
        )
        for row in table.to_pylist()
    )  # fmt: skip
    return {(frame.scene_id, frame.frame_index): frame for frame in found}


def frame_labels_card(path: Path) -> Card | None:
    """The card, None if there is no file. Raises CardError if it is not whole."""
    if not path.is_file():
        return None
    try:
        raw = (pq.read_metadata(path).metadata or {}).get(_CARD_KEY)
    except (pa.ArrowException, OSError) as error:
        raise CardError(f"{path}: damaged: {error}; delete it and run label-frames again") from None
    return Card.from_dict(json.loads(raw) if raw else None, where=str(path))
