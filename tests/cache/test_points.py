"""`points.zarr` on disk: shape, unit, checksums, and int16 that never wraps."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from cache.card import Card, CardError
from cache.points import (
    PointsWriter,
    create_store,
    read_points,
    to_millimetres,
)
from cache.scene_group import list_scenes, scene_card

CARD = Card("thing", 1, {}, {})


def write(store: Path, scene_id: str, points: np.ndarray, max_frames: int = 50) -> None:
    create_store(store)
    writer = PointsWriter(store / scene_id, points_per_frame=points.shape[1], max_frames=max_frames)
    for frame in points:
        writer.append(frame)
    writer.finish(CARD)


@pytest.mark.parametrize("num_frames", [0, 1, 15, 16, 17, 32, 50])
def test_what_is_written_is_read(tmp_path: Path, num_frames: int) -> None:
    points = np.random.default_rng(0).uniform(-30, 30, (num_frames, 64, 3))
    write(tmp_path / "points.zarr", "a", points)
    found = read_points(tmp_path / "points.zarr", "a")
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, np.rint(points * 1000).reshape(-1, 64, 3))
    assert scene_card(tmp_path / "points.zarr", "a") == CARD


def test_the_store_says_unit_scale_and_frame(tmp_path: Path) -> None:
    store = tmp_path / "points.zarr"
    write(store, "a", np.ones((3, 8, 3)))
    for node in (zarr.open_group(store, mode="r"), zarr.open_array(store / "a", mode="r")):
        assert node.attrs["unit"] == "millimetre"
        assert node.attrs["scale_to_metres"] == 0.001
        assert "z forward" in str(node.attrs["frame"])
    array = zarr.open_array(store / "a", mode="r")
    assert [type(codec).__name__ for codec in array.metadata.codecs] == [
        "BytesCodec", "BloscCodec", "Crc32cCodec",
    ]  # fmt: skip
    assert array.metadata.dimension_names == ("frame", "point", "xyz")
    assert list(zarr.open_group(store, mode="r").array_keys()) == ["a"]


def test_a_scene_without_a_card_is_not_there(tmp_path: Path) -> None:
    store = tmp_path / "points.zarr"
    assert list_scenes(store) == []
    write(store, "b", np.ones((1, 8, 3)))
    write(store, "a", np.ones((1, 8, 3)))
    PointsWriter(store / "half", points_per_frame=8, max_frames=1)
    assert list_scenes(store) == ["a", "b"]
    assert scene_card(store, "half") is None
    assert scene_card(store, "nowhere") is None


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    store = tmp_path / "points.zarr"
    write(store, "a", np.random.default_rng(0).normal(size=(3, 64, 3)))
    chunk = store / "a" / "c" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        read_points(store, "a")


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    card = {"card": CARD.to_dict()}
    zarr.create_array(tmp_path / "a", shape=(3, 2), dtype="float32", attributes=card)
    with pytest.raises(CardError, match=r"expected \(F, P, 3\) int16, found \(3, 2\) float32"):
        read_points(tmp_path, "a")


def test_broken_metadata_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for text in ("{", "[]"):
        (tmp_path / "a" / "zarr.json").write_text(text)
        with pytest.raises(CardError, match="not Zarr metadata"):
            scene_card(tmp_path, "a")


def test_millimetres_round_and_never_wrap() -> None:
    np.testing.assert_array_equal(to_millimetres(np.array([0.0004, -1.0006])), [0, -1001])
    assert to_millimetres(np.array([32.767])) == 32_767
    for bad in (32.768, -33.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="beyond 32767 mm"):
            to_millimetres(np.array([bad]))
