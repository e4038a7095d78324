"""What is found in a folder of RGB-D frames, before any image is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.sources.rgbd_layouts.cameras import Cameras
from stages.sources.sens_format import Matrix, is_rigid

COLOR_SUFFIXES = (".jpg", ".jpeg", ".png")
DEPTH_SUFFIXES = (".png", ".pgm", ".tif", ".tiff")
MILLIMETRES = 1_000.0  # depth units per metre, where a layout does not say


@dataclass(frozen=True)
class FolderFrame:
    """Files of one frame; `pose` is (4, 4) camera-to-world, `time_us` None if not recorded."""

    color: Path
    depth: Path
    pose: Matrix
    time_us: int | None = None


@dataclass(frozen=True)
class RgbdFolder:
    """A folder's frames and cameras, and what of it was understood."""

    layout: str
    frames: tuple[FolderFrame, ...]
    cameras: Cameras
    depth_shift: float  # depth units per metre
    incomplete: int  # frames left out for want of colour or depth
    poses_from: str | None  # the file or folder that the poses are from, None if there are none
    unused: tuple[str, ...]  # files and folders that nothing was read from
    by_order: bool = False  # colour and depth have different names, and go together by their order

    @property
    def num_poses(self) -> int:
        """The number of frames whose pose is known."""
        return sum(is_rigid(frame.pose) for frame in self.frames)


def files_in(folder: Path, suffixes: Sequence[str], *, inner: str = "") -> dict[str, Path]:
    """The files of a folder by name without suffix, in the order of their numbers.

    `inner` is what stands before the suffix, such as `.color`, and is no part of the name. Hidden
    files are none of a recording.
    """
    there = [path for path in folder.iterdir() if not path.name.startswith(".")]
    named: dict[str, Path] = {}
    for suffix in reversed(suffixes):  # of two files of one name, the first suffix wins
        end = f"{inner}{suffix}"
        named |= {p.name[: -len(end)]: p for p in there if p.name.lower().endswith(end)}
    return {name: named[name] for name in sorted(named, key=in_order)}


def paired(
    colors: Mapping[str, Path],
    depths: Mapping[str, Path],
    names: Sequence[str],
    poses: Sequence[Matrix],
) -> tuple[FolderFrame, ...]:
    """The frames that have colour and depth; `poses` are of all `names`."""
    return tuple(
        FolderFrame(colors[name], depths[name], pose)
        for name, pose in zip(names, poses, strict=True)
        if name in colors and name in depths
    )


def in_order(name: str) -> tuple[int, str]:
    """Sort key of names that end in a number, with or without leading zeros."""
    return len(name), name


def unused_in(folder: Path, used: Collection[Path]) -> tuple[str, ...]:
    """Name the files below a folder that are not `used`, and folders without any that is."""
    folders = {path.parent for path in used}
    names = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path in folders:
            names += [f"{path.name}/{child}" for child in unused_in(path, used)]
        elif path not in used:
            names.append(f"{path.name}/" if path.is_dir() else path.name)
    return tuple(names)
