"""Where ScanNet's release keeps its scenes and its split lists, and any other list of `.sens`.

- `ROOT/scans/<scene>/<scene>.sens`: train and val
- `ROOT/scans_test/<scene>/<scene>.sens`: test
- `scannetv2_{train,val,test}.txt`: in ROOT, or in a usual folder below it (SPLIT_FOLDERS)
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.sources.folder_kinds import SCAN_FOLDERS, way_to_extract

SPLITS = ("train", "val", "test")
# Scenes in ScanNetV2's own lists (ScanNet/Tasks/Benchmark/scannetv2_*.txt).
PUBLISHED_COUNTS = {"train": 1201, "val": 312, "test": 100}
SPLIT_FOLDERS = (".", "splits", "Tasks/Benchmark", "meta_data", "scans", "Benchmark")
_SCENE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Scene:
    """One recording to read: its id, its split, and its `.sens` file.

    `problem` says why the file cannot even be looked at, and is empty if it can.
    """

    scene_id: str
    split: str
    sens: Path
    size_bytes: int
    problem: str = ""


@dataclass(frozen=True)
class SceneList:
    """Scenes that were found, and how they compare with the lists they came from."""

    scenes: tuple[Scene, ...]
    listed: Mapping[str, int]  # split -> scenes in its list
    missing: tuple[str, ...]  # listed, but without a .sens
    unlisted: tuple[str, ...]  # there, but in no list


def find_scenes(root: Path, splits: Sequence[str]) -> SceneList:
    """List the scenes of these splits under a ScanNet folder, sorted by id.

    Raises ValueError, in one line, if there is no scan or no split list, or if the lists disagree.
    """
    there = _find_sens(root)
    if not there:
        raise ValueError(_nothing_there(root))
    split_of = read_splits(root, splits, instead=", or name .sens files on the command line")
    wanted = [
        Scene(scene, split, *there[scene]) for scene, split in split_of.items() if scene in there
    ]
    everywhere = read_splits(root, [name for name in SPLITS if split_file(root, name)])
    return SceneList(
        scenes=tuple(sorted(wanted, key=lambda scene: scene.scene_id)),
        listed=Counter(split_of.values()),
        missing=tuple(sorted(split_of.keys() - there.keys())),
        unlisted=tuple(sorted(there.keys() - everywhere.keys())),
    )


def _nothing_there(root: Path) -> str:
    if root.is_dir() and (way := way_to_extract(root)):
        return f"{root}: no scans/<scene>/<scene>.sens in this folder; {way}"
    if (root / "scans").is_dir():
        return (
            f"{root}/scans: none of the {len(list((root / 'scans').iterdir()))} folders has its "
            "<scene>.sens; ScanNet's download script fetches them without --type, or with --type .sens"
        )
    return (
        f"no ScanNet here: looked for {root}/scans/<scene>/<scene>.sens. "
        "Point elsewhere with --scannet DIR (make extract SCANNET=DIR). ScanNetV2 is free for "
        "research after signing its terms of use: http://www.scan-net.org. "
        "`make demo` runs everything without it."
    )


def scenes_from_files(paths: Sequence[Path], split: str) -> SceneList:
    """Take `.sens` files, and folders of them, as they are: named after the scene, of one split."""
    scenes: dict[str, Scene] = {}
    for file in (file for path in paths for file in _sens_files(path)):
        scene_id = checked_scene_id(file.stem, str(file))
        if scene_id in scenes:
            raise ValueError(f"two files for scene {scene_id}: {scenes[scene_id].sens} and {file}")
        scenes[scene_id] = Scene(scene_id, split, file, file.stat().st_size)
    ordered = tuple(scenes[scene_id] for scene_id in sorted(scenes))
    return SceneList(ordered, {split: len(ordered)}, (), ())


def _sens_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".sens")
        if not files:
            way = way_to_extract(path) or "extract takes .sens files and folders of them"
            raise ValueError(f"{path}: no .sens in this folder; {way}")
        return files
    if not path.is_file():
        there = "is neither a file nor a folder" if path.exists() else "no such file"
        raise ValueError(f"{path}: {there}")
    return [path]


def _find_sens(root: Path) -> dict[str, tuple[Path, int, str]]:
    """Of each scene its file, size and problem; one that cannot be looked at is there too."""
    found = {}
    for folder in (root / name for name in SCAN_FOLDERS):
        for scene in folder.iterdir() if folder.is_dir() else ():
            file = scene / f"{scene.name}.sens"
            try:
                there = (file, file.stat().st_size, "") if file.is_file() else None
            except OSError as error:  # it alone must fail, not all of the run
                there = (file, 0, f"cannot be read: {error}")
            if there:
                found[checked_scene_id(scene.name, str(file))] = there
    return found


def read_splits(root: Path, splits: Sequence[str], *, instead: str = "") -> dict[str, str]:
    """Return each listed scene's split. Raises ValueError if a list is missing, or lists disagree.

    `instead` is what else could be done about a missing one, for its message.
    """
    split_of: dict[str, str] = {}
    for split in splits:
        file = split_file(root, split)
        if file is None:
            looked = ", ".join(str(root / folder) for folder in SPLIT_FOLDERS)
            raise ValueError(
                f"no list scannetv2_{split}.txt beside the scans: looked in {looked}. Copy it from "
                f"the folder Tasks/Benchmark of ScanNet's repository (github.com/ScanNet/ScanNet){instead}"
            )
        for scene in _read_text(file).split():
            other = split_of.setdefault(checked_scene_id(scene, str(file)), split)
            if other != split:
                raise ValueError(f"{file}: {scene} is in the lists of both {other} and {split}")
    return split_of


def _read_text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: expected text, one scene a line; it is not UTF-8") from None


def split_file(root: Path, split: str) -> Path | None:
    """The list of a split, in ROOT or in a usual folder below it; None if it is not there."""
    name = f"scannetv2_{split}.txt"
    candidates = (root / folder / name for folder in SPLIT_FOLDERS)
    return next((file for file in candidates if file.is_file()), None)


def checked_scene_id(scene_id: str, where: str) -> str:
    """Return the id, or raise ValueError: it names files, Zarr groups and lines of lists."""
    if not _SCENE_ID.fullmatch(scene_id):
        raise ValueError(
            f"{where}: {scene_id!r} cannot be a scene's name: letters, digits, '_', '-' and '.'"
        )
    return scene_id
