"""A folder of colour images beside one of depth: ScanNet's exporter, Open3D, own recordings.

`color/` or `rgb/`, and `depth/`, with equal names or in equal order. Cameras and poses are in any of
the files that `cameras` and `trajectories` know.
"""

from collections.abc import Mapping
from pathlib import Path

from stages.sources.rgbd_layouts.cameras import Cameras, find_cameras
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
from stages.sources.rgbd_layouts.trajectories import POSE_FOLDERS, find_poses

COLOR_FOLDERS, DEPTH_FOLDER = ("color", "rgb"), "depth"


def is_color_and_depth(folder: Path) -> bool:
    """Say whether a folder of colour images and one of depth are there."""
    return (folder / DEPTH_FOLDER).is_dir() and _color_folder(folder) is not None


def find_color_and_depth(folder: Path) -> RgbdFolder:
    """List the frames that have colour and depth. Raises ValueError naming what is wrong."""
    color_folder = _color_folder(folder)
    assert color_folder is not None
    colors = files_in(color_folder, COLOR_SUFFIXES)
    depths = files_in(folder / DEPTH_FOLDER, DEPTH_SUFFIXES)
    _refuse_none(color_folder, colors, f"colour images ({', '.join(COLOR_SUFFIXES)})")
    _refuse_none(folder / DEPTH_FOLDER, depths, f"16-bit depth ({', '.join(DEPTH_SUFFIXES)})")
    by_order = not colors.keys() & depths.keys()
    if by_order:
        colors = _renamed(colors, depths, color_folder)
    names = sorted(colors.keys() | depths.keys(), key=in_order)
    poses, sources = find_poses(folder, names)
    frames = paired(colors, depths, names, poses)
    cameras = find_cameras(folder)
    images = (path for frame in frames for path in (frame.color, frame.depth))
    return RgbdFolder(
        layout=_layout(cameras, sources),
        frames=frames,
        cameras=cameras,
        depth_shift=cameras.depth_shift or MILLIMETRES,
        incomplete=len(names) - len(frames),
        poses_from=_name(sources[0], folder) if sources else None,
        unused=unused_in(folder, {*images, *sources, *cameras.files}),
        by_order=by_order,
    )


def _color_folder(folder: Path) -> Path | None:
    return next((folder / name for name in COLOR_FOLDERS if (folder / name).is_dir()), None)


def _refuse_none(folder: Path, images: Mapping[str, Path], expected: str) -> None:
    if not images:
        others = sorted({path.suffix or path.name for path in folder.iterdir()})
        raise ValueError(f"{folder}: expected {expected}, found {', '.join(others) or 'no file'}")


def _renamed(
    colors: Mapping[str, Path], depths: Mapping[str, Path], color_folder: Path
) -> dict[str, Path]:
    """Colour images under the names of the depth images that stand at the same place."""
    if len(colors) != len(depths):
        raise ValueError(
            f"{color_folder} has {len(colors)} images, {DEPTH_FOLDER}/ {len(depths)}, and no name is "
            "in both, so it is not known which belong together; give them equal names"
        )
    return dict(zip(depths, colors.values(), strict=True))


def _layout(cameras: Cameras, poses: list[Path]) -> str:
    files = [*cameras.files, *poses]
    if any(path.suffix in (".json", ".log") for path in files):
        return "Open3D"
    if any(path.parent.name in ("intrinsic", *POSE_FOLDERS) for path in files):
        return "ScanNet exporter"
    return "color/ and depth/"


def _name(path: Path, folder: Path) -> str:
    return path.name if path.parent == folder else f"{path.parent.name}/"
