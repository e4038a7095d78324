"""Folders of RGB-D frames packed into `.sens`, in the three layouts, and against a real one."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.sources.rgbd_folder import find_frames, pack_folder
from stages.sources.sens import SensReader, decode_depth
from stages.sources.sens_writer import LOST_POSE, intrinsic_matrix
from tests.conftest import real_data
from tests.recordings import encode_color

SIZE = (24, 32)
POSES = [np.eye(4), np.array([[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1.0]]), None]
DEPTHS = [np.random.default_rng(n).integers(1, 65_535, SIZE).astype(np.uint16) for n in range(3)]
COLORS = [encode_color(np.full((*SIZE, 3), 50 * n, np.uint8)) for n in range(3)]
EXTRINSICS = np.array([[1.0, 0, 0, 0.025], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
INTRINSICS = np.array([[30.0, 0, 15], [0, 31, 12], [0, 0, 1]])


def write_seven_scenes(folder: Path) -> None:
    folder.mkdir()
    np.savetxt(folder / "camera-intrinsics.txt", INTRINSICS)
    for n in range(3):
        (folder / f"frame-{n:06d}.color.jpg").write_bytes(COLORS[n])
        cv2.imwrite(str(folder / f"frame-{n:06d}.depth.png"), DEPTHS[n])
        if POSES[n] is not None:
            np.savetxt(folder / f"frame-{n:06d}.pose.txt", POSES[n])


def write_scannet_export(folder: Path) -> None:
    for name in ("color", "depth", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    matrix = np.eye(4)
    matrix[:3, :3] = INTRINSICS
    for name in ("intrinsic_depth", "intrinsic_color"):
        np.savetxt(folder / "intrinsic" / f"{name}.txt", matrix)
    np.savetxt(folder / "intrinsic" / "extrinsic_depth.txt", EXTRINSICS)
    for n, number in enumerate((2, 9, 10)):  # ordered as numbers, not as words
        (folder / "color" / f"{number}.jpg").write_bytes(COLORS[n])
        cv2.imwrite(str(folder / "depth" / f"{number}.png"), DEPTHS[n])
        pose = np.full((4, 4), -np.inf) if POSES[n] is None else POSES[n]
        np.savetxt(folder / "pose" / f"{number}.txt", pose)


def write_tum(folder: Path) -> None:
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for n in range(3):
        (folder / "rgb" / f"{n}.jpg").write_bytes(COLORS[n])
        cv2.imwrite(str(folder / "depth" / f"{n}.png"), DEPTHS[n])
    times = [10.0, 10.5, 11.0]
    colors = [f"{t + 0.01:.4f} rgb/{n}.jpg" for n, t in enumerate(times)]
    depths = [f"{t:.4f} depth/{n}.png" for n, t in enumerate(times)]
    (folder / "rgb.txt").write_text("# color images\n" + "\n".join(colors))
    (folder / "depth.txt").write_text("\n".join([*depths, "99.0 depth/0.png"]))
    half = np.sqrt(0.5)
    truth = ["10.001 0 0 0 0 0 0 1", f"10.499 1 2 3 0 0 {half} {half}"]
    (folder / "groundtruth.txt").write_text("\n".join(truth))


@pytest.mark.parametrize("write", [write_seven_scenes, write_scannet_export, write_tum])
def test_every_layout_gives_the_same_frames(tmp_path: Path, write) -> None:
    write(tmp_path / "in")
    found = find_frames(tmp_path / "in")
    matrix = intrinsic_matrix(30, 31, 15, 12)
    if found.depth_intrinsics is not None:
        np.testing.assert_array_equal(found.depth_intrinsics, matrix)
    out = tmp_path / "out.sens"
    count = pack_folder(
        found,
        out,
        depth_intrinsics=matrix,
        color_intrinsics=matrix,
        depth_shift=found.depth_shift,
        sensor_name=found.layout,
    )
    assert count == 3
    assert found.incomplete == (write is write_tum)
    with SensReader(out) as sens:
        assert sens.header.depth_shift == (5000 if write is write_tum else 1000)
        expected = EXTRINSICS if write is write_scannet_export else np.eye(4)
        np.testing.assert_allclose(sens.header.depth_extrinsics, expected)
        for n, frame in enumerate(sens.walk()):
            color, depth = sens.payload(frame)
            assert color == COLORS[n]
            np.testing.assert_array_equal(decode_depth(depth, sens.header), DEPTHS[n])
            pose = LOST_POSE if POSES[n] is None else POSES[n]
            np.testing.assert_allclose(frame.camera_to_world, pose, atol=1e-6)


def test_odd_lines_of_tum_files(tmp_path: Path) -> None:
    write_tum(tmp_path / "in")
    (tmp_path / "in" / "groundtruth.txt").write_text("10.0 1 2 3 0 0 0 0\n")
    assert all((frame.pose == LOST_POSE).all() for frame in find_frames(tmp_path / "in").frames)
    (tmp_path / "in" / "rgb.txt").write_text("10.0 rgb/0.jpg\n10.5\n")
    with pytest.raises(ValueError, match=r"rgb.txt:2: expected a time and"):
        find_frames(tmp_path / "in")


def test_frames_without_a_partner_are_counted(tmp_path: Path) -> None:
    write_seven_scenes(tmp_path / "in")
    (tmp_path / "in" / "frame-000001.color.jpg").unlink()
    found = find_frames(tmp_path / "in")
    assert (len(found.frames), found.incomplete) == (2, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("frame-000001.depth.png", COLORS[0], "16-bit grey PNG"),
        ("frame-000001.color.jpg", COLORS[0][:-2], "cut off"),
        ("frame-000001.pose.txt", b"1 2 3", "4 rows of 4"),
        ("frame-000001.pose.txt", b"a b c d", "4 rows of 4 numbers"),
        ("camera-intrinsics.txt", b"585 585 320 240", "3 rows of 3 numbers or 4 rows"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_written(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    write_seven_scenes(tmp_path / "in")
    (tmp_path / "in" / name).write_bytes(content)
    out = tmp_path / "out" / "a.sens"
    with pytest.raises(ValueError, match=message) as caught:
        pack_folder(
            find_frames(tmp_path / "in"),
            out,
            depth_intrinsics=intrinsic_matrix(1, 1, 0, 0),
            color_intrinsics=intrinsic_matrix(1, 1, 0, 0),
            depth_shift=1000,
            sensor_name="",
        )
    assert name in str(caught.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("frame-000000.pose.txt", "", "4 rows of 4 numbers, found 0 rows"),
        ("frame-000000.pose.txt", "1 0 0 0\n0 1 0\n" * 2, "4 rows of 4 numbers"),
        ("frame-000000.pose.txt", "1 0 0 x\n" * 4, "could not convert"),
        ("camera-intrinsics.txt", "inf 0 1\n0 1 1\n0 0 1", "focal lengths > 0"),
    ],
)
def test_odd_matrices_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    write_seven_scenes(tmp_path / "in")
    (tmp_path / "in" / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        find_frames(tmp_path / "in")


def test_an_unknown_folder_says_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"7-Scenes.*ScanNet.*TUM"):
        find_frames(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        find_frames(tmp_path / "nowhere")


def test_the_real_kitchen_packs_to_the_frames_of_its_stream(tmp_path: Path) -> None:
    folder, stream = real_data("rgbd_redkitchen_raw"), real_data("sens/scene9001_00.sens")
    found = find_frames(folder)
    assert found.depth_intrinsics is not None
    out = tmp_path / "kitchen.sens"
    pack_folder(
        found,
        out,
        depth_intrinsics=found.depth_intrinsics,
        color_intrinsics=intrinsic_matrix(525, 525, 320, 240),
        depth_shift=found.depth_shift,
        sensor_name="kitchen",
    )
    with SensReader(out) as packed, SensReader(stream) as known:
        np.testing.assert_array_equal(packed.header.color_intrinsics, known.header.color_intrinsics)
        np.testing.assert_array_equal(packed.header.depth_intrinsics, known.header.depth_intrinsics)
        ours, theirs = list(packed.walk()), list(known.walk())
        assert len(ours) == 200
        for mine, other in zip(ours[100:], theirs[:100], strict=True):
            np.testing.assert_array_equal(mine.camera_to_world, other.camera_to_world)
            (my_color, my_depth), (color, depth) = packed.payload(mine), known.payload(other)
            assert my_color == color
            np.testing.assert_array_equal(
                decode_depth(my_depth, packed.header), decode_depth(depth, known.header)
            )
