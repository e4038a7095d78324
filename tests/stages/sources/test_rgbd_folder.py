"""Folders of RGB-D frames packed into `.sens`, in every layout, and against a real one."""

from pathlib import Path

import numpy as np
import pytest

from stages.sources.rgbd_folder import find_frames, pack_folder
from stages.sources.sens import SensReader, decode_depth
from stages.sources.sens_writer import intrinsic_matrix
from tests.conftest import real_data
from tests.worlds.recordings import encode_color
from tests.worlds.rgbd_folders import (
    COLORS,
    DEPTHS,
    EXTRINSICS,
    POSES,
    check_poses,
    write_images,
    write_open3d,
    write_pose_list,
    write_scannet_export,
    write_sens_tool,
    write_seven_scenes,
    write_tum,
)

LAYOUTS = (write_seven_scenes, write_scannet_export, write_tum, write_open3d, write_sens_tool,
           write_pose_list)  # fmt: skip
WITH_EXTRINSICS = (write_scannet_export, write_sens_tool)


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_layout_gives_the_same_frames(tmp_path: Path, write) -> None:
    write(tmp_path / "in")
    found = find_frames(tmp_path / "in")
    matrix = intrinsic_matrix(30, 31, 15, 12)
    if write is not write_tum:
        np.testing.assert_array_equal(found.cameras.depth, matrix)
    assert (found.num_poses, found.poses_from is None, found.unused) == (2, False, ())
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
        expected = EXTRINSICS if write in WITH_EXTRINSICS else np.eye(4)
        np.testing.assert_allclose(sens.header.depth_extrinsics, expected)
        for n, frame in enumerate(sens.walk()):
            color, depth = sens.payload(frame)
            assert color == COLORS[n]
            np.testing.assert_array_equal(decode_depth(depth, sens.header), DEPTHS[n])
            assert frame.pose_valid == (POSES[n] is not None)
            if POSES[n] is not None:
                np.testing.assert_allclose(frame.camera_to_world, POSES[n], atol=1e-6)


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "in")
    for name in ("notes.txt", "color/Thumbs.db", "depth/9.png", "other.json"):
        (tmp_path / "in" / name).write_bytes(b"{}")
    (tmp_path / "in" / "mesh").mkdir()
    (tmp_path / "in" / "other.log").write_text("started\n")
    found = find_frames(tmp_path / "in")
    assert set(found.unused) == {"color/Thumbs.db", "depth/9.png", "mesh/", "notes.txt",
                                 "other.json", "other.log"}  # fmt: skip
    assert (found.incomplete, found.num_poses, found.poses_from) == (1, 0, None)


def test_colour_and_depth_of_different_names_go_by_order(tmp_path: Path) -> None:
    write_images(tmp_path / "in")
    for n in range(3):
        color = tmp_path / "in" / "color" / f"{n}.jpg"
        color.rename(color.with_name(f"image-{n + 8}.jpg"))
    (tmp_path / "in" / "pose").mkdir()
    for n in range(2):
        np.savetxt(tmp_path / "in" / "pose" / f"{n}.txt", POSES[n])
    found = find_frames(tmp_path / "in")
    assert found.by_order
    assert [frame.color.name for frame in found.frames] == [
        "image-8.jpg", "image-9.jpg", "image-10.jpg",
    ]  # fmt: skip
    check_poses(found)
    (tmp_path / "in" / "color" / "image-9.jpg").unlink()
    with pytest.raises(ValueError, match="color has 2 images, depth/ 3, and no name is in both"):
        find_frames(tmp_path / "in")


@pytest.mark.parametrize(
    ("folder", "message"), [("color", "expected colour images"), ("depth", "expected 16-bit depth")]
)
def test_a_folder_without_images_says_what_is_in_it(
    tmp_path: Path, folder: str, message: str
) -> None:
    write_images(tmp_path / "in")
    for file in (tmp_path / "in" / folder).iterdir():
        file.rename(file.with_suffix(".npy"))
    with pytest.raises(ValueError, match=rf"{message} .*, found \.npy"):
        find_frames(tmp_path / "in")


def test_colour_of_another_size_needs_its_own_intrinsics(tmp_path: Path) -> None:
    write_images(tmp_path / "in")
    larger = encode_color(np.zeros((48, 64, 3), np.uint8))
    for file in (tmp_path / "in" / "color").iterdir():
        file.write_bytes(larger)
    with pytest.raises(ValueError, match=r"64 x 48, depth 32 x 24.*--color-intrinsics"):
        pack_folder(
            find_frames(tmp_path / "in"), tmp_path / "a.sens", color_intrinsics=None,
            depth_intrinsics=intrinsic_matrix(1, 1, 0, 0), depth_shift=1000, sensor_name="",
        )  # fmt: skip


def test_odd_lines_of_tum_files(tmp_path: Path) -> None:
    write_tum(tmp_path / "in")
    (tmp_path / "in" / "groundtruth.txt").write_text("10.0 1 2 3 0 0 0 0\n")
    assert find_frames(tmp_path / "in").num_poses == 0
    (tmp_path / "in" / "groundtruth.txt").write_text("1 2 3 0 0 0 1\n")
    with pytest.raises(ValueError, match=r"groundtruth.txt: expected `time tx.*no times"):
        find_frames(tmp_path / "in")
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
        ("frame-000001.depth.png", COLORS[0], "16-bit grey image"),
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
    with pytest.raises(ValueError, match=r"7-Scenes.*ScanNet.*TUM.*found nothing"):
        find_frames(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        find_frames(tmp_path / "nowhere")


def test_the_real_kitchen_packs_to_the_frames_of_its_stream(tmp_path: Path) -> None:
    folder, stream = real_data("rgbd_redkitchen_raw"), real_data("sens/scene9001_00.sens")
    found = find_frames(folder)
    assert found.cameras.depth is not None
    out = tmp_path / "kitchen.sens"
    pack_folder(
        found,
        out,
        depth_intrinsics=found.cameras.depth,
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
