"""What a folder really holds, and the command for it, where a command was given another folder."""

import os
from pathlib import Path

from stages.sources.rgbd_layouts.color_and_depth import is_color_and_depth
from stages.sources.rgbd_layouts.seven_scenes import is_seven_scenes
from stages.sources.rgbd_layouts.tum import is_tum

SCAN_FOLDERS = ("scans", "scans_test")


def is_rgbd_folder(folder: Path) -> bool:
    """Say whether a folder has one of the layouts that `pack-sens` knows."""
    return is_seven_scenes(folder) or is_tum(folder) or is_color_and_depth(folder)


def scannet_root_above(path: Path, ending: str) -> Path | None:
    """The ScanNet folder that `path` is the scans of, or one scene of; None if it is neither.

    Scenes are told by their file `<scene>/<scene>ENDING`.
    """
    path = path.absolute()
    if (path / f"{path.name}{ending}").is_file():
        return path.parent.parent
    if path.name in SCAN_FOLDERS and path.is_dir() and _scenes(path, ending):
        return path.parent
    return None


def way_to_extract(folder: Path) -> str | None:
    """Say what a folder holds and which command extracts it; None if it holds no recordings."""
    sens = ".sens"
    if any((folder / name).is_dir() and _scenes(folder / name, sens) for name in SCAN_FOLDERS):
        return f"it is ScanNet's folder: extract --scannet {folder}"
    if any(path.suffix.lower() == sens for path in folder.iterdir()):
        return f"it has .sens files in it: extract {folder}"
    if root := scannet_root_above(folder, sens):
        return f"it is a part of ScanNet's folder: extract --scannet {root}"
    if _scenes(folder, sens):
        return f"it has folders of .sens files in it: extract {folder}/*/*.sens"
    for path in (folder, *sorted(child for child in folder.iterdir() if os.path.isdir(child))):
        if os.access(path, os.R_OK | os.X_OK) and is_rgbd_folder(path):
            what = "it is a folder" if path == folder else f"{path.name}/ in it is a folder"
            return (
                f"{what} of RGB-D frames: first pack-sens {path} --out NAME.sens, "
                "then extract NAME.sens"
            )
    return None


def _scenes(folder: Path, ending: str) -> bool:
    # Not Path.is_file, which raises where a folder may not be looked into.
    return any(os.path.isfile(child / f"{child.name}{ending}") for child in folder.iterdir())
