"""Folders of RGB-D frames, as people record them, packed into one `.sens`.

Three layouts are known, told apart by what lies in the folder:

- 7-Scenes: `frame-000000.{color.jpg,depth.png,pose.txt}`, `camera-intrinsics.txt` (depth camera);
- ScanNet's exporter: `color/0.jpg depth/0.png pose/0.txt intrinsic/intrinsic_{color,depth}.txt`;
- TUM: `rgb.txt depth.txt groundtruth.txt` naming files by time in seconds.

Depth images are 16-bit PNGs, poses camera-to-world in metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.sources.images import image_size
from stages.sources.sens import Matrix, SensHeader
from stages.sources.sens_writer import LOST_POSE, RgbdFrame, intrinsic_matrix, write_sens

NO_MEASUREMENT = 65_535
FRAME_INTERVAL_US = 33_333  # invented timestamps where a recording has none: 30 frames a second
TUM_DEPTH_SHIFT, MILLIMETRES = 5_000.0, 1_000.0
MAX_TIME_GAP_S = 0.02
COLOR_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class FolderFrame:
    """Files of one frame; `pose` is (4, 4) camera-to-world, `time_us` None if not recorded."""

    color: Path
    depth: Path
    pose: Matrix
    time_us: int | None = None


@dataclass(frozen=True)
class RgbdFolder:
    """What was found in a folder, before any image is read. Intrinsics are (4, 4) or None."""

    layout: str
    frames: tuple[FolderFrame, ...]
    depth_intrinsics: Matrix | None
    color_intrinsics: Matrix | None
    depth_to_color: Matrix
    depth_shift: float
    incomplete: int  # frames left out for want of colour or depth


def find_frames(folder: Path) -> RgbdFolder:
    """Recognise a folder's layout and list its frames. Raises ValueError if there are none."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    if any(folder.glob("frame-*.depth.png")):
        found = _seven_scenes(folder)
    elif (folder / "depth").is_dir() and (folder / "color").is_dir():
        found = _scannet_export(folder)
    elif (folder / "rgb.txt").is_file() and (folder / "depth.txt").is_file():
        found = _tum(folder)
    else:
        raise ValueError(
            f"{folder}: no known RGB-D layout: expected frame-*.depth.png (7-Scenes), folders "
            "color/ and depth/ (ScanNet's exporter), or rgb.txt and depth.txt (TUM)"
        )
    if not found.frames:
        raise ValueError(f"{folder}: {found.layout} layout, but no frame has both colour and depth")
    return found


def pack_folder(
    found: RgbdFolder,
    out: Path,
    *,
    depth_intrinsics: Matrix,
    color_intrinsics: Matrix,
    depth_shift: float,
    sensor_name: str,
) -> int:
    """Write the frames to a `.sens`; colour bytes stay as they are, depth 65535 becomes 0.

    Returns the number of frames. Raises ValueError naming the file that cannot be used; then
    nothing is written.
    """
    first = found.frames[0]
    depth_height, depth_width = _read_depth(first.depth).shape
    header = SensHeader(
        sensor_name=sensor_name,
        color_intrinsics=color_intrinsics,
        color_extrinsics=np.eye(4, dtype=np.float32),
        depth_intrinsics=depth_intrinsics,
        depth_extrinsics=found.depth_to_color,
        color_compression="png" if first.color.suffix.lower() == ".png" else "jpeg",
        depth_compression="zlib_ushort",
        color_size=_color_size(first.color),
        depth_size=(depth_width, depth_height),
        depth_shift=depth_shift,
        num_frames=0,
    )
    with write_sens(out, header) as writer:
        for index, frame in enumerate(found.frames):
            time_us = index * FRAME_INTERVAL_US if frame.time_us is None else frame.time_us
            color, depth = frame.color.read_bytes(), _read_depth(frame.depth)
            try:
                writer.append(RgbdFrame(color, depth, frame.pose, time_us, time_us))
            except ValueError as error:
                raise ValueError(f"{frame.color}, {frame.depth}: {error}") from None
    return len(found.frames)


def _seven_scenes(folder: Path) -> RgbdFolder:
    stems = sorted({path.name.split(".")[0] for path in folder.glob("frame-*.*")})
    colors = [_first_file(folder, f"{stem}.color", COLOR_SUFFIXES) for stem in stems]
    depths = [_first_file(folder, f"{stem}.depth", (".png",)) for stem in stems]
    poses = [_read_pose(folder / f"{stem}.pose.txt") for stem in stems]
    frames = _pair(colors, depths, poses)
    intrinsics = _read_intrinsics(folder / "camera-intrinsics.txt")
    incomplete = len(stems) - len(frames)
    return RgbdFolder(
        "7-Scenes", frames, intrinsics, None, np.eye(4, dtype=np.float32), MILLIMETRES, incomplete
    )


def _scannet_export(folder: Path) -> RgbdFolder:
    stems = {path.stem for name in ("color", "depth") for path in (folder / name).iterdir()}
    ordered = sorted(stems, key=lambda stem: (len(stem), stem))
    colors = [_first_file(folder / "color", stem, COLOR_SUFFIXES) for stem in ordered]
    depths = [_first_file(folder / "depth", stem, (".png",)) for stem in ordered]
    poses = [_read_pose(folder / "pose" / f"{stem}.txt") for stem in ordered]
    frames = _pair(colors, depths, poses)
    intrinsic = folder / "intrinsic"
    extrinsic = intrinsic / "extrinsic_depth.txt"
    return RgbdFolder(
        "ScanNet exporter",
        frames,
        _read_intrinsics(intrinsic / "intrinsic_depth.txt"),
        _read_intrinsics(intrinsic / "intrinsic_color.txt"),
        _read_matrix(extrinsic) if extrinsic.is_file() else np.eye(4, dtype=np.float32),
        MILLIMETRES,
        len(ordered) - len(frames),
    )


def _tum(folder: Path) -> RgbdFolder:
    colors, depths = _read_times(folder / "rgb.txt"), _read_times(folder / "depth.txt")
    truth = folder / "groundtruth.txt"
    poses = _read_times(truth) if truth.is_file() else []
    frames = []
    for seconds, (name, *_) in depths:
        color = _nearest(colors, seconds)
        pose = _nearest(poses, seconds)
        if color is not None:
            frames.append(
                FolderFrame(
                    color=folder / color[0],
                    depth=folder / name,
                    pose=LOST_POSE if pose is None else _pose_from_quaternion(pose, truth),
                    time_us=round(seconds * 1e6),
                )
            )
    return RgbdFolder(
        "TUM", tuple(frames), None, None, np.eye(4, dtype=np.float32), TUM_DEPTH_SHIFT,
        len(depths) - len(frames),
    )  # fmt: skip


def _pair(
    colors: Sequence[Path | None], depths: Sequence[Path | None], poses: Sequence[Matrix]
) -> tuple[FolderFrame, ...]:
    triples = zip(colors, depths, poses, strict=True)
    return tuple(FolderFrame(c, d, pose) for c, d, pose in triples if c and d)


def _first_file(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    candidates = (folder / f"{stem}{suffix}" for suffix in suffixes)
    return next((path for path in candidates if path.is_file()), None)


def _read_depth(path: Path) -> NDArray[np.uint16]:
    depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if depth is None or depth.ndim != 2 or depth.dtype != np.uint16:
        what = "not an image" if depth is None else f"{depth.dtype} {depth.shape}"
        raise ValueError(f"{path}: expected a 16-bit grey PNG of depth, found {what}")
    cleaned: NDArray[np.uint16] = np.where(depth == NO_MEASUREMENT, 0, depth).astype(np.uint16)
    return cleaned


def _color_size(path: Path) -> tuple[int, int]:
    try:
        return image_size(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read_pose(path: Path) -> Matrix:
    return _read_matrix(path) if path.is_file() else LOST_POSE


def _read_matrix(path: Path) -> Matrix:
    return _read_numbers(path, [(4, 4)])


def _read_intrinsics(path: Path) -> Matrix | None:
    """Read a (3, 3) or (4, 4) pinhole matrix as (4, 4)."""
    if not path.is_file():
        return None
    matrix = _read_numbers(path, [(3, 3), (4, 4)])
    try:
        return intrinsic_matrix(*matrix[[0, 1, 0, 1], [0, 1, 2, 2]].tolist())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read_numbers(path: Path, shapes: Sequence[tuple[int, int]]) -> Matrix:
    expected = " or ".join(f"{rows} rows of {columns} numbers" for rows, columns in shapes)
    rows = [line.split() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    if (len(rows), len(rows[0]) if rows else 0) not in shapes or len({*map(len, rows)}) != 1:
        raise ValueError(f"{path}: expected {expected}, found {len(rows)} rows")
    try:
        return np.array([[float(word) for word in row] for row in rows], np.float32)
    except ValueError as error:
        raise ValueError(f"{path}: expected {expected}: {error}") from None


def _read_times(path: Path) -> list[tuple[float, list[str]]]:
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.partition("#")[0].split()
        if words:
            if len(words) < 2:
                raise ValueError(f"{path}:{number}: expected a time and what belongs to it")
            try:
                rows.append((float(words[0]), words[1:]))
            except ValueError:
                raise ValueError(f"{path}:{number}: {words[0]!r} is not a time") from None
    return sorted(rows)


def _nearest(rows: Sequence[tuple[float, list[str]]], seconds: float) -> list[str] | None:
    best = min(rows, key=lambda row: abs(row[0] - seconds), default=None)
    return best[1] if best and abs(best[0] - seconds) <= MAX_TIME_GAP_S else None


def _pose_from_quaternion(words: Sequence[str], path: Path) -> Matrix:
    """Turn TUM's `tx ty tz qx qy qz qw` into a (4, 4) camera-to-world matrix."""
    try:
        tx, ty, tz, x, y, z, w = (float(word) for word in words)
    except ValueError:
        raise ValueError(f"{path}: expected `time tx ty tz qx qy qz qw`, found {words}") from None
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
