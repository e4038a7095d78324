"""Poses and cameras of folders of RGB-D frames, in the files that people leave them in."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.sources.open3d_library import load_open3d
from stages.sources.rgbd_folder import find_frames
from stages.sources.rgbd_layouts.found import RgbdFolder
from stages.sources.rgbd_layouts.trajectories import nearest_keys
from stages.sources.sens_writer import intrinsic_matrix
from tests.worlds.rgbd_folders import POSES, check_poses, quaternions, write_images, write_tum


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("0", "1", "2"), ("0", "1", "2")),
        (("00001", "00002", "00003"), ("0", "1", "2")),  # as many poses: their order tells
        (("a", "b", "c"), ("7.5", "8.5", "9.5")),
        (("9.001", "10.002", "11"), ("9.0", "10.0", "11.0")),
    ],
)
def test_a_pose_list_with_numbers_or_times(
    tmp_path: Path, names: Sequence[str], keys: Sequence[str]
) -> None:
    write_images(tmp_path / "in", names=names)
    (tmp_path / "in" / "poses.txt").write_text("# a comment\n" + quaternions(keys))
    check_poses(find_frames(tmp_path / "in"))


def test_poses_of_some_frames_go_by_their_numbers(tmp_path: Path) -> None:
    write_images(tmp_path / "in", names=("frame10", "frame20", "frame30"))
    rows = "".join(f"{n} 1 2 3 0 0 0 1\n" for n in (20, 25))
    (tmp_path / "in" / "poses.txt").write_text(rows)
    found = find_frames(tmp_path / "in")
    assert [float(frame.pose[0, 3]) for frame in found.frames] == [-np.inf, 1, -np.inf]
    (tmp_path / "in" / "poses.txt").write_text("1 2 3 0 0 0 1\n")
    with pytest.raises(ValueError, match=r"poses.txt: 1 poses for 3 frames, and no numbers"):
        find_frames(tmp_path / "in")
    (tmp_path / "in" / "poses.txt").write_text("7 1 2 3 0 0 0 1\n")
    with pytest.raises(ValueError, match=r"poses.txt: 1 poses for 3 frames"):
        find_frames(tmp_path / "in")


@pytest.mark.parametrize("rows", [3, 4])
def test_a_pose_list_of_matrices(tmp_path: Path, rows: int) -> None:
    write_images(tmp_path / "in")
    lost = np.full((4, 4), np.nan)
    matrices = [(lost if pose is None else pose)[:rows].ravel() for pose in POSES]
    np.savetxt(tmp_path / "in" / "traj.txt", matrices)
    check_poses(find_frames(tmp_path / "in"))


def test_open3d_writes_what_is_read(tmp_path: Path) -> None:
    """Its JSON holds world-to-camera, column by column; its log camera-to-world, by rows."""
    camera = load_open3d().camera
    parameters = []
    for pose in (POSES[0], POSES[1], POSES[1]):
        item = camera.PinholeCameraParameters()
        item.intrinsic = camera.PinholeCameraIntrinsic(32, 24, 30, 31, 15, 12)
        item.extrinsic = np.linalg.inv(pose)
        parameters.append(item)
    trajectory = camera.PinholeCameraTrajectory()
    trajectory.parameters = parameters
    write_images(tmp_path / "in")
    write = load_open3d().io
    write.write_pinhole_camera_intrinsic(
        str(tmp_path / "in" / "camera.json"), parameters[0].intrinsic
    )
    for name in ("b.json", "a.log"):
        file = tmp_path / "in" / name
        write.write_pinhole_camera_trajectory(str(file), trajectory)
        found = find_frames(tmp_path / "in")
        assert (found.poses_from, found.layout) == (name, "Open3D")
        check_poses(replace_last(found))
        np.testing.assert_array_equal(found.cameras.color, intrinsic_matrix(30, 31, 15, 12))
        file.unlink()


def replace_last(found: RgbdFolder) -> RgbdFolder:
    """The folder without its last frame."""
    return replace(found, frames=found.frames[:2])


def test_pose_files_of_other_names_go_by_order(tmp_path: Path) -> None:
    write_images(tmp_path / "in")
    (tmp_path / "in" / "pose").mkdir()
    for n in range(3):
        pose = np.full((4, 4), np.inf) if POSES[n] is None else POSES[n]
        np.savetxt(tmp_path / "in" / "pose" / f"p{n}.txt", pose)
    check_poses(find_frames(tmp_path / "in"))
    (tmp_path / "in" / "pose" / "p2.txt").unlink()
    with pytest.raises(ValueError, match="2 poses for 3 frames, and none has a frame's name"):
        find_frames(tmp_path / "in")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("trajectory.log", "0 0 1\n1 0 0 0\n", "expected 5 lines a frame, found 2"),
        ("trajectory.log", "0 0 1\n" + "1 0 0\n" * 4, "three integers, then 4 rows of 4"),
        ("camera.json", '{"intrinsic_matrix": [1, 2]}', "intrinsic_matrix: expected 9 numbers"),
        ("camera.json", '{"intrinsic_matrix": [0, 0, 0, 0, 0, 0, 0, 0, 1]}', "focal lengths > 0"),
        ("t.json", '{"class_name": "PinholeCameraTrajectory"}', "expected parameters"),
        ("pose.txt", "1 2 3\n", r"pose.txt:1: expected `tx ty tz qx qy qz qw`"),
        ("pose.txt", "1 2 3 0 0 0 1\n1 2 3 0 0 0 x\n", "pose.txt:2: "),
        ("pose.txt", "1e30 1 2 3 0 0 0 1\n", "expected times in seconds, found 1e"),
        ("_info.txt", "m_calibrationDepthIntrinsic = 1 2 3", "expected 16 numbers, found 3"),
    ],
)
def test_odd_files_of_poses_and_cameras_are_named(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    write_images(tmp_path / "in")
    (tmp_path / "in" / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        find_frames(tmp_path / "in")
    assert name in str(caught.value)


def test_the_nearest_time_is_found_without_comparing_all_with_all() -> None:
    keys = np.arange(200_000) / 30
    wanted = keys + 0.004
    np.testing.assert_array_equal(nearest_keys(keys, wanted), np.arange(200_000))
    np.testing.assert_array_equal(nearest_keys(keys[:3], np.array([-9.0, 0.04, 9])), [-1, 1, -1])
    np.testing.assert_array_equal(nearest_keys(keys[:0], wanted[:2]), [-1, -1])


def test_times_before_zero_count_from_the_first_frame(tmp_path: Path) -> None:
    write_tum(tmp_path / "in")
    for name in ("rgb.txt", "depth.txt", "groundtruth.txt"):
        lines = [
            line.split(maxsplit=1) for line in (tmp_path / "in" / name).read_text().split("\n")
        ]
        shifted = [f"{float(time) - 10.75} {rest}" for time, rest in lines if time != "#"]
        (tmp_path / "in" / name).write_text("\n".join(shifted))
    found = find_frames(tmp_path / "in")
    check_poses(found)
    assert [frame.time_us for frame in found.frames] == [0, 500_000, 1_000_000]
    (tmp_path / "in" / "depth.txt").write_text("1305031102175304000000000 depth/0.png")
    with pytest.raises(ValueError, match=r"depth.txt: expected times in seconds"):
        find_frames(tmp_path / "in")
    (tmp_path / "in" / "depth.txt").write_text("5000 depth/0.png")
    with pytest.raises(ValueError, match=r"no image of rgb.txt \(3\) is within 0.02 s of one of"):
        find_frames(tmp_path / "in")
