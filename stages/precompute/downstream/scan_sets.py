"""The sets of annotated scans: which scans a folder holds, how one is read, what is judged on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cache.data_sets import ScanSet
from cache.scannet_classes import SCANNET
from cache.scene_set import SceneSet
from stages.sources.folder_kinds import scannet_root_above
from stages.sources.scannet_layout import read_splits, split_file
from stages.sources.scannet_scans import (
    MESH,
    AnnotatedScan,
    find_label_file,
    find_scan_folder,
    read_label_table,
    read_scan,
    read_votenet,
)

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ScanSource:
    """One scan that is there: its split, sizes of its files, and what `read` makes it from."""

    scene_id: str
    split: str
    files: Mapping[str, int]
    item: Any


@dataclass(frozen=True)
class FoundScans:
    """A set in a folder: its classes, the layout it comes in, its scans, and how one is read.

    `missing` scans are listed and not there, `unreadable` ones cannot even be looked at and why;
    `without_list` are splits that are left out for want of their list, and how that is called.
    """

    classes: SceneSet
    layout: str
    scans: Sequence[ScanSource]
    read: Callable[[Any], AnnotatedScan]
    missing: Sequence[str] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    without_list: Mapping[str, str] = field(default_factory=dict)


def find_scans(data_set: ScanSet, root: Path, *, votenet: Path | None = None) -> FoundScans:
    """List the scans below `root`. Raises ValueError if lists, tables or all of the scans are not there."""
    match data_set:
        case ScanSet.SCANNET:
            return _find_scannet(root, votenet)


def _find_scannet(root: Path, votenet: Path | None) -> FoundScans:
    """ScanNet's release, or arrays that VoteNet's export left of it."""
    if above := scannet_root_above(root, MESH):
        raise ValueError(f"{root} is a part of ScanNet's folder; prepare scannet {above}")
    labels = {} if votenet else read_label_table(find_label_file(root))
    without_list = {} if split_file(root, "test") else {"test": "scannetv2_test.txt"}
    listed = read_splits(root, [split for split in SPLITS if split not in without_list])
    scans: list[ScanSource] = []
    missing: list[str] = []
    unreadable: dict[str, str] = {}
    for scene_id, split in sorted(listed.items()):
        try:
            folder = votenet or find_scan_folder(root, scene_id)
            if folder is None or (votenet and not _has_votenet(votenet, scene_id)):
                missing.append(scene_id)
                continue
            files = _sizes(scene_id, folder, is_votenet=votenet is not None)
            item = (votenet, scene_id) if votenet else folder
            scans.append(ScanSource(scene_id, split, files, item))
        except OSError as error:
            unreadable[scene_id] = str(error)
    if not scans and not unreadable:
        looked_for = (
            f"{votenet}/<scene>_vert.npy"
            if votenet
            else f"{root}/scans/<scene>/<scene>_vh_clean_2.ply"
        )
        raise ValueError(
            f"{votenet or root}: none of the {len(missing)} listed scenes is there; looked for {looked_for}"
        )
    read = _read_votenet if votenet else partial(read_scan, labels=labels)
    layout = "votenet" if votenet else "scannet"
    return FoundScans(SCANNET, layout, scans, read, missing, unreadable, without_list)


def _read_votenet(item: tuple[Path, str]) -> AnnotatedScan:
    return read_votenet(*item)


def _has_votenet(folder: Path, scene_id: str) -> bool:
    return any((folder / f"{scene_id}_vert{kind}.npy").is_file() for kind in ("", "_all"))


def _sizes(scene_id: str, folder: Path, *, is_votenet: bool) -> dict[str, int]:
    """Sizes of a scene's files: cheap to compare without opening them."""
    pattern = f"{scene_id}_*.npy" if is_votenet else f"{scene_id}[._]*"
    wanted = (".npy", ".ply", ".json", ".txt")
    return {
        path.name: path.stat().st_size
        for path in sorted(folder.glob(pattern))
        if path.suffix in wanted and "labels.ply" not in path.name
    }
