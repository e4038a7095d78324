"""7-Scenes: `frame-000000.{color.jpg,depth.png,pose.txt}` in one folder.

So do the `sens` tool of ScanNet and BundleFusion, and 3RScan, with `depth.pgm` and `_info.txt`.
"""

from pathlib import Path

from stages.sources.rgbd_layouts.cameras import find_cameras
from stages.sources.rgbd_layouts.found import (
    COLOR_SUFFIXES,
    DEPTH_SUFFIXES,
    MILLIMETRES,
    RgbdFolder,
    files_in,
    in_order,
    paired,
    unused_in,
)
from stages.sources.rgbd_layouts.trajectories import find_poses, pose_files


def is_seven_scenes(folder: Path) -> bool:
    """Say whether a folder has files `frame-*.depth.*`."""
    return any(folder.glob("frame-*.depth.*"))


def find_seven_scenes(folder: Path) -> RgbdFolder:
    """List the frames that have colour and depth. Raises ValueError naming a bad file."""
    colors = files_in(folder, COLOR_SUFFIXES, inner=".color")
    depths = files_in(folder, DEPTH_SUFFIXES, inner=".depth")
    names = sorted(colors.keys() | depths.keys(), key=in_order)
    poses, sources = pose_files([folder / f"{name}.pose.txt" for name in names])
    poses_from = "frame-*.pose.txt" if sources else None
    if not sources:
        poses, sources = find_poses(folder, names)
        poses_from = sources[0].name if sources else None
    frames = paired(colors, depths, names, poses)
    cameras = find_cameras(folder)
    images = (path for frame in frames for path in (frame.color, frame.depth))
    return RgbdFolder(
        layout="7-Scenes",
        frames=frames,
        cameras=cameras,
        depth_shift=cameras.depth_shift or MILLIMETRES,
        incomplete=len(names) - len(frames),
        poses_from=poses_from,
        unused=unused_in(folder, {*images, *sources, *cameras.files}),
    )
