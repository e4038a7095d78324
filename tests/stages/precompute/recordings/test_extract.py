"""`extract`: what it writes, and what it rejects."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cache.frames import KEPT, frames_card, iter_images, read_frames
from cache.points import read_points
from cache.scene_group import list_scenes, scene_card
from stages.precompute.recordings import extract_scene
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.sources.scannet_layout import find_scenes, scenes_from_files
from stages.sources.sens import SensReader, decode_depth
from stages.sources.sens_writer import RgbdFrame, intrinsic_matrix, write_sens
from tests.conftest import REPOSITORY, real_data
from tests.stages.precompute.recordings.test_backproject import plain_back_projection
from tests.worlds.extracted import CONFIG, run
from tests.worlds.recordings import (
    COLOR_SIZE,
    DEPTH_SIZE,
    encode_color,
    header,
    make_frame,
    make_room,
    write_recording,
)


def test_rows_say_where_each_frame_came_from(scannet: Path, extracted: Path) -> None:
    rows = read_frames(extracted / "frames" / "scene0000_00.parquet").to_pylist()
    # 24 frames by 5; frame 10 has no depth.
    assert [row["frame_index"] for row in rows] == [0, 5, 10, 15, 20]
    assert [row["status"] for row in rows] == [KEPT, KEPT, extract_scene.TOO_FEW, KEPT, KEPT]
    assert [row["row"] for row in rows] == [0, 1, None, 2, 3]
    assert [row["pose_valid"] for row in rows] == [True, True, False, True, True]
    assert {(row["scene_id"], row["split"]) for row in rows} == {("scene0000_00", "train")}
    with SensReader(scannet / "scans" / "scene0000_00" / "scene0000_00.sens") as sens:
        frames = list(sens.walk())
        for row in rows:
            frame = frames[row["frame_index"]]
            depth = decode_depth(sens.payload(frame)[1], sens.header)
            too_far = int((depth == 65_535).sum())
            assert row["num_too_far"] == too_far
            assert row["num_valid_depth"] == np.count_nonzero(depth) - too_far
            assert row["timestamp_depth"] == frame.timestamp_depth
            assert row["camera_to_world"] == frame.camera_to_world.ravel().tolist()
            assert row["depth_intrinsics"] == sens.header.depth_intrinsics[:3, :3].ravel().tolist()
            assert row["color_size"] == list(COLOR_SIZE)
            assert row["depth_size"] == list(DEPTH_SIZE)


def test_images_are_the_original_bytes(scannet: Path, extracted: Path) -> None:
    manifest = extracted / "frames" / "scene0000_00.parquet"
    images = dict(iter_images(manifest))
    kept = [row for row in read_frames(manifest).to_pylist() if row["status"] == KEPT]
    with SensReader(scannet / "scans" / "scene0000_00" / "scene0000_00.sens") as sens:
        frames = list(sens.walk())
        for row in kept:
            assert images[row["row"]] == sens.payload(frames[row["frame_index"]])[0]


def test_points_are_distinct_pixels_of_their_depth(scannet: Path, extracted: Path) -> None:
    points = read_points(extracted / "points.zarr", "scene0002_00")
    assert points.shape == (4, 2048, 3)
    x, y, z = points[0].astype(float).T
    with SensReader(scannet / "scans" / "scene0002_00" / "scene0002_00.sens") as sens:
        depth = decode_depth(sens.payload(next(sens.walk()))[1], sens.header)
        (fx, fy), (cx, cy) = sens.header.depth_intrinsics[[0, 1], [0, 1]], (79.5, 60.5)
    # One millimetre is a tenth of a pixel here, so each point gives its pixel back.
    column, row = np.rint(x * fx / z + cx).astype(int), np.rint(y * fy / z + cy).astype(int)
    np.testing.assert_array_equal(depth[row, column], z)
    assert len(set(zip(row, column, strict=True))) == 2048


def test_a_frame_with_few_pixels_repeats_them(scannet: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"points_per_frame": 40_000})
    run(scannet, tmp_path, config, scenes=find_scenes(scannet, ("val",)).scenes)
    points = read_points(tmp_path / "points.zarr", "scene0002_00")
    rows = read_frames(tmp_path / "frames" / "scene0002_00.parquet").to_pylist()
    num_valid = rows[0]["num_valid_depth"]
    first, rest = points[0, :num_valid], points[0, num_valid:]
    assert num_valid < 40_000
    assert {tuple(point) for point in rest} <= {tuple(point) for point in first}


def test_draws_depend_on_seed_scene_and_frame_only(scannet: Path, tmp_path: Path) -> None:
    val = find_scenes(scannet, ("val",)).scenes
    for name, change in {
        "a": {},
        "b": {"stride_frames": 15},
        "c": {"seed": 1},
    }.items():
        run(scannet, tmp_path / name, CONFIG.model_copy(update=change), scenes=val)
    a, b, c = (read_points(tmp_path / name / "points.zarr", "scene0002_00") for name in "abc")
    np.testing.assert_array_equal(a[2], b[1])  # frame 15 of both
    assert (a[0] != c[0]).any()


def test_the_two_halves_carry_the_same_card(extracted: Path) -> None:
    for scene_id in list_scenes(extracted / "points.zarr"):
        card = scene_card(extracted / "points.zarr", scene_id)
        assert card == frames_card(extracted / "frames" / f"{scene_id}.parquet")
        assert card is not None
        assert card.config == CONFIG.content()
        assert card.counts["statuses"] == {KEPT: 4, extract_scene.TOO_FEW: 1}
        assert str(extracted) not in str(card)


def test_manifest_of_a_recording_whose_cameras_differ(tmp_path: Path) -> None:
    """`open_small` has other extrinsics for colour and depth, and other times."""
    path = REPOSITORY / "tests" / "golden" / "sens" / "open_small.sens"
    config = ExtractConfig(stride_frames=1, points_per_frame=64, min_valid_pixels=1)
    run(tmp_path, tmp_path, config, scenes=scenes_from_files([path], "val").scenes)
    rows = read_frames(tmp_path / "frames" / "open_small.parquet").to_pylist()
    with SensReader(path) as sens:
        head = sens.header
        for row, frame in zip(rows, sens.walk(), strict=True):
            assert row["depth_to_color"] == head.depth_extrinsics.ravel().tolist()
            assert row["color_intrinsics"] == head.color_intrinsics[:3, :3].ravel().tolist()
            assert row["depth_intrinsics"] == head.depth_intrinsics[:3, :3].ravel().tolist()
            assert row["timestamp_color"] == frame.timestamp_color
            assert row["timestamp_depth"] == frame.timestamp_depth
        assert head.depth_extrinsics.tolist() != head.color_extrinsics.tolist()


def test_depth_shift_is_the_recordings_own(tmp_path: Path) -> None:
    """5000 units a metre, as TUM's: the same raw depth is five times nearer."""
    room = make_room(np.random.default_rng(0))
    frame = make_frame(room, 0, 10, lost=False, empty=False)
    clouds = []
    for name, shift in (("a", 1000.0), ("b", 5000.0)):
        path = tmp_path / f"{name}.sens"
        with write_sens(path, header(depth_shift=shift)) as writer:
            writer.append(frame)
        config = ExtractConfig(points_per_frame=64, max_depth_m=0.3 if shift == 5000 else 1.5)
        config = config.model_copy(update={"min_valid_pixels": 1})
        scenes = scenes_from_files([path], "train").scenes
        run(tmp_path, tmp_path / name, config, scenes=scenes)
        (row,) = read_frames(tmp_path / name / "frames" / f"{name}.parquet").to_pylist()
        clouds.append((row["num_valid_depth"], read_points(tmp_path / name / "points.zarr", name)))
    (first_valid, first), (second_valid, second) = clouds
    assert first_valid == second_valid > 0  # the limit is in metres
    assert second[..., 2].max() <= 300 < first[..., 2].max()


def test_exactly_enough_pixels_are_enough(tmp_path: Path) -> None:
    width, height = DEPTH_SIZE
    color = encode_color(np.zeros((COLOR_SIZE[1], COLOR_SIZE[0], 3), np.uint8))
    path = tmp_path / "a.sens"
    with write_sens(path, header()) as writer:
        for count in (99, 100):
            depth = np.zeros((height, width), np.uint16)
            depth.flat[:count] = 1000
            writer.append(RgbdFrame(color, depth, np.eye(4), 0, 0))
    config = ExtractConfig(stride_frames=1, points_per_frame=8, min_valid_pixels=100)
    run(tmp_path, tmp_path, config, scenes=scenes_from_files([path], "train").scenes)
    rows = read_frames(tmp_path / "frames" / "a.parquet").to_pylist()
    assert [row["status"] for row in rows] == [extract_scene.TOO_FEW, KEPT]


def test_a_frame_of_too_much_depth_is_rejected_alone(tmp_path: Path) -> None:
    room = make_room(np.random.default_rng(0))
    path = tmp_path / "a.sens"
    with write_sens(path, header()) as writer:
        for index in range(4):
            frame = make_frame(room, index, 10, lost=False, empty=False)
            if index == 1:
                writer.append_encoded(frame, bytes(2_000_000))
            else:
                writer.append(frame)
    config = ExtractConfig(stride_frames=1, points_per_frame=64, min_valid_pixels=1)
    report = run(tmp_path, tmp_path, config, scenes=scenes_from_files([path], "train").scenes)
    assert report.statuses == {KEPT: 3, "corrupt_depth": 1}
    assert report.damaged == {}


def test_a_file_without_a_whole_frame_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    write_recording(path, seed=0, num_frames=1)
    path.write_bytes(path.read_bytes()[:500])
    report = run(tmp_path, tmp_path / "out", scenes=scenes_from_files([path], "train").scenes)
    assert "no whole frame" in report.failed["a"]
    assert list_scenes(tmp_path / "out" / "points.zarr") == []


def test_a_bad_frame_is_rejected_with_its_reason(tmp_path: Path) -> None:
    room = make_room(np.random.default_rng(0))
    good = make_frame(room, 0, 10, lost=False, empty=False)
    lost = make_frame(room, 1, 10, lost=True, empty=False)
    cut = replace(good, color=good.color[:-2])
    with write_sens(tmp_path / "a.sens", header()) as writer:
        writer.append(good)
        writer.append_encoded(good, b"not zlib")
        writer.append(lost)
        writer.append_encoded(cut, b"")
    (scene,) = scenes_from_files([tmp_path / "a.sens"], "train").scenes
    config = ExtractConfig(stride_frames=1, points_per_frame=64)
    report = run(tmp_path, tmp_path, config, scenes=[scene])
    rows = read_frames(tmp_path / "frames" / "a.parquet").to_pylist()
    assert [row["status"] for row in rows] == [KEPT, "corrupt_depth", KEPT, "corrupt_color"]
    assert [row["pose_valid"] for row in rows] == [True, True, False, True]
    assert rows[1]["num_valid_depth"] is None
    assert report.skipped_anything
    assert len(read_points(tmp_path / "points.zarr", "a")) == 2


def test_nothing_ever_wraps_an_int16(tmp_path: Path) -> None:
    """Depth up to 65.5 m seen through a very wide lens: far pixels are dropped and counted."""
    width, height = DEPTH_SIZE
    depth = np.tile(np.linspace(1, 65_535, width).astype(np.uint16), (height, 1))
    color = encode_color(np.zeros((COLOR_SIZE[1], COLOR_SIZE[0], 3), np.uint8))
    frame = RgbdFrame(color, depth, np.eye(4), 0, 0)
    path = tmp_path / "wide.sens"
    with write_sens(path, header(depth_intrinsics=intrinsic_matrix(20, 20, 80, 60))) as writer:
        writer.append(frame)
    config = ExtractConfig(points_per_frame=40_000, max_depth_m=32.7, min_valid_pixels=1)
    run(tmp_path, tmp_path, config, scenes=scenes_from_files([path], "train").scenes)
    (row,) = read_frames(tmp_path / "frames" / "wide.parquet").to_pylist()
    assert row["num_valid_depth"] + row["num_too_far"] == np.count_nonzero(depth)
    assert row["num_too_far"] > 0
    points = read_points(tmp_path / "points.zarr", "wide")[0].astype(int)
    assert points[:, 2].min() > 0
    assert np.abs(points).max() <= 32_701
    plain = plain_back_projection(depth, intrinsic_matrix(20, 20, 80, 60), 1000)
    kept = plain[(plain[:, 2] <= 32.7) & (np.abs(plain) <= 32.7).all(1)]
    assert row["num_valid_depth"] == len(kept)


def test_real_recording(tmp_path: Path) -> None:
    stream = real_data("sens/scene9001_00.sens")
    report = run(
        tmp_path, tmp_path, ExtractConfig(), scenes=scenes_from_files([stream], "train").scenes
    )
    assert report.statuses == {KEPT: 6}
    points = read_points(tmp_path / "points.zarr", "scene9001_00") / 1000
    assert points.shape == (6, 16_384, 3)
    # A kitchen: metres, not kilometres or millimetres.
    assert 1 < np.median(points[..., 2]) < 4
