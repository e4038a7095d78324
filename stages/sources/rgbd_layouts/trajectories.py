"""Poses of a recording, as folders of RGB-D frames hold them: (4, 4) camera-to-world, metres.

- a text file a frame with a 4 x 4 matrix: ScanNet's exporter, 7-Scenes;
- `trajectory.log`: three integers, then a 4 x 4 matrix, for each frame: Open3D, Redwood;
- JSON of a `PinholeCameraTrajectory`, which holds world-to-camera: Open3D;
- a list with a line a frame (POSE_LISTS): `tx ty tz qx qy qz qw`, or the 12 or 16 numbers of a matrix
  by rows; before them there may be the frame's number, or its time in seconds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.sources.rgbd_layouts.cameras import column_by_column, read_json, read_matrix
from stages.sources.rgbd_layouts.found import files_in
from stages.sources.sens_format import Matrix, is_rigid
from stages.sources.sens_writer import LOST_POSE

POSE_LISTS = ("pose.txt", "poses.txt", "traj.txt", "trajectory.txt", "groundtruth.txt")
POSE_FOLDERS = ("pose", "poses")
MAX_TIME_GAP_S = 0.02
MAX_TIME_S = 1e12  # beyond any clock: a time of another unit
POSE_NUMBERS = (7, 12, 16)


@dataclass(frozen=True)
class Trajectory:
    """Poses in the order of a file; `keys` are the frames' numbers or times there, if it has them."""

    path: Path
    poses: Sequence[Matrix]
    keys: NDArray[np.float64] | None = None


def find_poses(folder: Path, names: Sequence[str]) -> tuple[list[Matrix], list[Path]]:
    """Return the pose of each named frame, LOST_POSE where there is none, and the files they are from.

    No files are returned if the folder holds no poses of a known kind. Raises ValueError naming a
    file that cannot be read, or whose poses are not those of the frames.
    """
    for inner in POSE_FOLDERS:
        if (folder / inner).is_dir() and (files := files_in(folder / inner, (".txt",))):
            return _pose_folder(folder / inner, files, names)
    found = _open3d_log(folder) or _open3d_json(folder) or _pose_list(folder)
    if found is None:
        return [LOST_POSE] * len(names), []
    return _of_frames(found, names), [found.path]


def _pose_folder(
    folder: Path, files: dict[str, Path], names: Sequence[str]
) -> tuple[list[Matrix], list[Path]]:
    """By the frames' names; by their order if no name is known and there are as many."""
    if files.keys() & set(names):
        return pose_files([folder / f"{name}.txt" for name in names])
    if len(files) != len(names):
        raise ValueError(
            f"{folder}: {len(files)} poses for {len(names)} frames, and none has a frame's name. Name "
            "them after the frames, or move the folder away to go on without poses"
        )
    return pose_files(list(files.values()))


def pose_files(files: Sequence[Path]) -> tuple[list[Matrix], list[Path]]:
    """Read a matrix a file, LOST_POSE where there is no file; and name those that are there."""
    there = [file for file in files if file.is_file()]
    return [read_matrix(file) if file.is_file() else LOST_POSE for file in files], there


def _of_frames(found: Trajectory, names: Sequence[str]) -> list[Matrix]:
    """As many poses as frames go by their order; otherwise their numbers tell."""
    if len(found.poses) == len(names):
        return list(found.poses)
    numbers = [_number(name) for name in names]
    poses = [LOST_POSE] * len(names)
    if found.keys is not None and None not in numbers:
        nearest = nearest_keys(found.keys, np.array(numbers, np.float64))
        poses = [found.poses[at] if at >= 0 else LOST_POSE for at in nearest]
    if all(pose is LOST_POSE for pose in poses):
        raise ValueError(
            f"{found.path}: {len(found.poses)} poses for {len(names)} frames, and no numbers that tell "
            "which belongs to which. Give each pose its frame's number first, or move the file away "
            "to go on without poses"
        )
    return poses


def _number(name: str) -> float | None:
    """The number that a file's name ends in: 12 of `frame-000012`, or a time in seconds."""
    found = re.search(r"\d+(\.\d+)?$", name)
    return float(found[0]) if found else None


def nearest_keys(keys: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the key nearest to each wanted one, -1 beyond MAX_TIME_GAP_S; `keys` (N,) ascend."""
    if not len(keys):
        return np.full(len(wanted), -1)
    right = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
    left = (right - 1).clip(0)
    nearer_left = np.abs(keys[left] - wanted) <= np.abs(keys[right] - wanted)
    nearest = np.where(nearer_left, left, right)
    return np.where(np.abs(keys[nearest] - wanted) <= MAX_TIME_GAP_S, nearest, -1)


def _open3d_log(folder: Path) -> Trajectory | None:
    """`trajectory.log`, or any other `.log` that begins as one."""
    for path in sorted(folder.glob("*.log"), key=lambda path: path.name != "trajectory.log"):
        lines = [line.split() for line in path.read_text(errors="replace").splitlines()]
        lines = [words for words in lines if words]
        if path.name != "trajectory.log" and [len(words) for words in lines[:2]] != [3, 4]:
            continue
        if not lines or len(lines) % 5:
            raise ValueError(f"{path}: expected 5 lines a frame, found {len(lines)} lines")
        blocks = [lines[at : at + 5] for at in range(0, len(lines), 5)]
        try:
            keys = [float(about[0]) for about, *_ in blocks]
            poses = np.array([rows for _, *rows in blocks], np.float32)
        except ValueError:
            poses = np.empty(0, np.float32)
        if poses.shape != (len(blocks), 4, 4):
            raise ValueError(
                f"{path}: expected for each frame three integers, then 4 rows of 4 numbers"
            )
        return _by_key(path, keys, list(poses))
    return None


def _open3d_json(folder: Path) -> Trajectory | None:
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        if content.get("class_name") == "PinholeCameraTrajectory":
            try:
                extrinsics = [item["extrinsic"] for item in content["parameters"]]
                world_to_camera = [column_by_column(e, 4, f"{path}: extrinsic") for e in extrinsics]
                poses = [np.linalg.inv(m) if is_rigid(m) else LOST_POSE for m in world_to_camera]
                return Trajectory(path, poses)
            except (KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}: expected parameters, each with an extrinsic of 16 numbers: {error!r}"
                ) from None
    return None


def _pose_list(folder: Path) -> Trajectory | None:
    path = next((folder / name for name in POSE_LISTS if (folder / name).is_file()), None)
    return read_pose_list(path) if path else None


def read_pose_list(path: Path) -> Trajectory:
    """Read a list with a pose a line, sorted by its numbers or times if it has them.

    `#` begins a comment. Raises ValueError naming the line that is none.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) not in (*POSE_NUMBERS, *(count + 1 for count in POSE_NUMBERS)) or (
            rows and len(row) != len(rows[0])
        ):
            raise ValueError(
                f"{path}:{number}: expected `tx ty tz qx qy qz qw`, or 12 or 16 numbers of a matrix, "
                f"with the frame's number or time before them or not, found {line.strip()[:60]!r}"
            )
        rows.append(row)
    if rows and len(rows[0]) not in POSE_NUMBERS:
        return _by_key(path, [row[0] for row in rows], [_pose(row[1:]) for row in rows])
    return Trajectory(path, [_pose(row) for row in rows])


def _by_key(path: Path, keys: Sequence[float], poses: Sequence[Matrix]) -> Trajectory:
    check_times(keys, path)
    order = np.argsort(keys, kind="stable")
    return Trajectory(path, [poses[at] for at in order], np.array(keys, np.float64)[order])


def check_times(times: Sequence[float], path: Path) -> None:
    """Raise ValueError if one of them cannot be a time in seconds."""
    for time in times:
        if not abs(time) <= MAX_TIME_S:  # not a number neither
            raise ValueError(f"{path}: expected times in seconds, found {time:g}")


def _pose(row: Sequence[float]) -> Matrix:
    """Make a (4, 4) matrix of a position and a quaternion, or of 3 or 4 rows."""
    if len(row) == 7:
        return _from_quaternion(*row)
    matrix = np.eye(4, dtype=np.float32)
    matrix[: len(row) // 4] = np.reshape(row, (-1, 4))
    return matrix


def _from_quaternion(
    tx: float, ty: float, tz: float, x: float, y: float, z: float, w: float
) -> Matrix:
    norm = (x * x + y * y + z * z + w * w) ** 0.5
    if norm == 0:
        return LOST_POSE
    x, y, z, w = (value / norm for value in (x, y, z, w))
    pose = np.eye(4, dtype=np.float32)
    pose[:3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), tx),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), ty),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), tz),
    )
    return pose
