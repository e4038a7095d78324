"""The manifest on disk: columns, checksums, and that other tools read it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cache.card import Card, CardError
from cache.frames import KEPT, SCHEMA, FramesWriter, frames_card, iter_images, read_frames

CARD = Card("thing", 1, {}, {})


def make_row(index: int, *, kept: bool = True) -> dict[str, Any]:
    return {
        "scene_id": "scene0000_00",
        "frame_index": 25 * index,
        "status": KEPT if kept else "corrupt_depth",
        "row": index if kept else None,
        "split": "train",
        "timestamp_color": 2**63 + index,
        "timestamp_depth": index,
        "depth_intrinsics": list(range(9)),
        "color_intrinsics": list(range(9)),
        "depth_to_color": np.eye(4).ravel(),
        "depth_size": (640, 480),
        "color_size": (1296, 968),
        "camera_to_world": [-np.inf] * 16,
        "pose_valid": False,
        "num_valid_depth": 5 if kept else None,
        "num_too_far": 6 if kept else None,
        "image": {"bytes": bytes([index]) * 50_000, "path": f"{index}.jpg"} if kept else None,
    }


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "scene0000_00.parquet"
    with FramesWriter(path) as writer:
        for index in range(100):
            writer.append(make_row(index))
        writer.append(make_row(100, kept=False))
        writer.finish(CARD)
    return path


def test_what_is_written_is_read(manifest: Path) -> None:
    table = read_frames(manifest)
    assert "image" not in table.column_names
    assert len(table) == 101
    first, last = table.to_pylist()[0], table.to_pylist()[-1]
    assert first["timestamp_color"] == 2**63
    assert first["camera_to_world"] == [-np.inf] * 16
    assert (last["row"], last["num_valid_depth"], last["status"]) == (None, None, "corrupt_depth")
    assert frames_card(manifest) == CARD


def test_images_stream_by_row_groups(manifest: Path) -> None:
    assert pq.ParquetFile(manifest).num_row_groups == 4
    images = list(iter_images(manifest))
    assert [row for row, _ in images] == list(range(100))
    assert all(image == bytes([row]) * 50_000 for row, image in images)


def test_pandas_reads_it_as_it_is(manifest: Path) -> None:
    frame = pd.read_parquet(manifest)
    assert list(frame.columns) == SCHEMA.names
    assert frame["status"].value_counts().to_dict() == {KEPT: 100, "corrupt_depth": 1}
    assert frame["image"][7]["bytes"] == bytes([7]) * 50_000


def test_hugging_face_is_told_of_every_column(manifest: Path) -> None:
    metadata = pq.read_schema(manifest).metadata
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert list(features) == SCHEMA.names
    assert features["image"] == {"_type": "Image"}
    assert features["row"] == {"dtype": "int32", "_type": "Value"}
    assert features["camera_to_world"] == {
        "feature": {"dtype": "float32", "_type": "Value"},
        "length": 16,
        "_type": "Sequence",
    }


def test_a_flipped_bit_is_noticed(manifest: Path) -> None:
    data = bytearray(manifest.read_bytes())
    data[data.index(bytes([7]) * 1000) + 500] ^= 1
    manifest.write_bytes(data)
    with pytest.raises(CardError, match=r"a?.parquet: damaged: .*(?i:crc).*run extract again"):
        list(iter_images(manifest))


def test_what_is_no_manifest_is_one_clear_error(manifest: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(manifest.read_bytes()[:-100])
    with pytest.raises(CardError, match=r"cut.parquet: not a whole Parquet file"):
        frames_card(cut)
    other = tmp_path / "other.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(other)
    with pytest.raises(CardError, match=r"other.parquet: not a frames manifest"):
        frames_card(other)
