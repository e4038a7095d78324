"""A folder that is not what a command wants: the command for what it really is."""

import shutil
from pathlib import Path

import pytest

from stages.sources.folder_kinds import scannet_root_above, way_to_extract
from stages.sources.scannet_layout import find_scenes, scenes_from_files
from tests.worlds.rgbd_folders import write_images, write_open3d, write_seven_scenes, write_tum

SCENE = "scene0000_00"


@pytest.mark.parametrize("inner", ["scans", f"scans/{SCENE}"])
def test_a_part_of_scannets_folder_names_the_whole(scannet: Path, inner: str) -> None:
    with pytest.raises(ValueError, match=rf"a part of ScanNet's.*extract --scannet {scannet}$|"
                                         rf"has .sens files in it: extract {scannet / inner}$"):  # fmt: skip
        find_scenes(scannet / inner, ("train",))
    assert scannet_root_above(scannet / inner, ".sens") == scannet
    assert scannet_root_above(scannet, ".sens") is None


def test_scannets_folder_is_no_recording(scannet: Path) -> None:
    for path in (scannet, scannet / "scans"):
        with pytest.raises(ValueError, match=rf"no .sens in .*extract --scannet {scannet}$"):
            scenes_from_files([path], "train")
    assert len(scenes_from_files([scannet / "scans" / SCENE], "train").scenes) == 1


def test_scenes_that_are_nobodys_scans_are_named_one_by_one(scannet: Path, tmp_path: Path) -> None:
    shutil.copytree(scannet / "scans", tmp_path / "mine")
    assert way_to_extract(tmp_path / "mine") == (
        f"it has folders of .sens files in it: extract {tmp_path}/mine/*/*.sens"
    )


@pytest.mark.parametrize("write", [write_seven_scenes, write_tum, write_images, write_open3d])
def test_a_folder_of_frames_is_packed_first(tmp_path: Path, write) -> None:
    write(tmp_path / "seq-01")
    for folder in (tmp_path / "seq-01", tmp_path):
        with pytest.raises(ValueError, match=rf"first pack-sens {tmp_path}/seq-01 --out NAME.sens"):
            scenes_from_files([folder], "train")
        with pytest.raises(ValueError, match=rf"first pack-sens {tmp_path}/seq-01 --out NAME.sens"):
            find_scenes(folder, ("train",))


def test_scans_without_recordings_are_said(tmp_path: Path) -> None:
    (tmp_path / "scans" / SCENE).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"scans: none of the 1 folders has its <scene>.sens"):
        find_scenes(tmp_path, ("train",))
    assert way_to_extract(tmp_path) is None
    with pytest.raises(ValueError, match=r"extract takes .sens files and folders of them"):
        scenes_from_files([tmp_path], "train")
