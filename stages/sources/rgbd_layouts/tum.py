"""TUM: `rgb.txt` and `depth.txt` name images by time in seconds, `groundtruth.txt` has the poses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.sources.rgbd_layouts.cameras import find_cameras
from stages.sources.rgbd_layouts.found import FolderFrame, RgbdFolder, unused_in
from stages.sources.rgbd_layouts.trajectories import (
    MAX_TIME_GAP_S,
    check_times,
    nearest_keys,
    read_pose_list,
)
from stages.sources.sens_format import Matrix
from stages.sources.sens_writer import LOST_POSE

COLOR_LIST, DEPTH_LIST, TRUTH = "rgb.txt", "depth.txt", "groundtruth.txt"
DEPTH_SHIFT = 5_000.0


def is_tum(folder: Path) -> bool:
    """Say whether the lists of images are there."""
    return (folder / COLOR_LIST).is_file() and (folder / DEPTH_LIST).is_file()


def find_tum(folder: Path) -> RgbdFolder:
    """Give each depth image the colour image and the pose nearest in time.

    Times count from the first frame if one of them is negative. Raises ValueError naming a bad file.
    """
    color_times, colors = _read_list(folder / COLOR_LIST)
    times, depths = _read_list(folder / DEPTH_LIST)
    color_of = nearest_keys(np.array(color_times), np.array(times))
    poses = _poses(folder / TRUTH, times)
    start = min(0.0, *times) if times else 0.0  # a `.sens` has no negative times
    frames = tuple(
        FolderFrame(folder / colors[color], folder / depth, pose, round((time - start) * 1e6))
        for time, depth, color, pose in zip(times, depths, color_of, poses, strict=True)
        if color >= 0
    )
    if not frames:
        raise ValueError(
            f"{folder}: no image of {COLOR_LIST} ({len(colors)}) is within {MAX_TIME_GAP_S:g} s of one "
            f"of {DEPTH_LIST} ({len(depths)}); times must be in seconds, of one clock"
        )
    cameras = find_cameras(folder)
    has_truth = (folder / TRUTH).is_file()
    lists = [folder / name for name in (COLOR_LIST, DEPTH_LIST, TRUTH)[: 2 + has_truth]]
    images = (path for frame in frames for path in (frame.color, frame.depth))
    return RgbdFolder(
        layout="TUM",
        frames=frames,
        cameras=cameras,
        depth_shift=cameras.depth_shift or DEPTH_SHIFT,
        incomplete=len(times) - len(frames),
        poses_from=TRUTH if has_truth else None,
        unused=unused_in(folder, {*images, *lists, *cameras.files}),
    )


def _poses(path: Path, times: Sequence[float]) -> list[Matrix]:
    if not path.is_file():
        return [LOST_POSE] * len(times)
    truth = read_pose_list(path)
    if truth.keys is None:
        if truth.poses:
            raise ValueError(f"{path}: expected `time tx ty tz qx qy qz qw`, found no times")
        return [LOST_POSE] * len(times)
    nearest = nearest_keys(truth.keys, np.array(times))
    return [truth.poses[at] if at >= 0 else LOST_POSE for at in nearest]


def _read_list(path: Path) -> tuple[list[float], list[str]]:
    """Times in seconds, ascending, and the file that belongs to each."""
    rows = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) < 2:
            raise ValueError(f"{path}:{number}: expected a time and what belongs to it")
        try:
            rows.append((float(words[0]), words[1]))
        except ValueError:
            raise ValueError(f"{path}:{number}: {words[0]!r} is not a time") from None
    check_times([time for time, _ in rows], path)
    rows.sort()
    return [time for time, _ in rows], [name for _, name in rows]
