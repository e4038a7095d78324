"""Finding scenes and their splits in a folder laid out as ScanNet's release."""

import shutil
from pathlib import Path

import pytest

from stages.sources.scannet_layout import find_scenes, scenes_from_files


def test_scenes_have_the_split_of_their_list(scannet: Path) -> None:
    found = find_scenes(scannet, ("train", "val"))
    assert [(scene.scene_id, scene.split) for scene in found.scenes] == [
        ("scene0000_00", "train"),
        ("scene0000_01", "train"),
        ("scene0001_00", "train"),
        ("scene0002_00", "val"),
    ]
    assert found.listed == {"train": 3, "val": 1}
    assert (found.missing, found.unlisted) == ((), ())
    assert all(scene.size_bytes == scene.sens.stat().st_size for scene in found.scenes)
    (test,) = find_scenes(scannet, ("test",)).scenes
    assert test.sens == scannet / "scans_test" / "scene0003_00" / "scene0003_00.sens"


def test_what_lists_and_disk_do_not_share_is_named(scannet: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    shutil.rmtree(root / "scans" / "scene0001_00")
    (root / "scans" / "scene0000_00").rename(root / "scans" / "scene0900_00")
    sens = root / "scans" / "scene0900_00" / "scene0000_00.sens"
    sens.rename(sens.with_name("scene0900_00.sens"))
    found = find_scenes(root, ("train", "val"))
    assert found.missing == ("scene0000_00", "scene0001_00")
    assert found.unlisted == ("scene0900_00",)
    assert [scene.scene_id for scene in found.scenes] == ["scene0000_01", "scene0002_00"]


def test_lists_are_found_in_usual_folders(scannet: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    (root / "Tasks" / "Benchmark").mkdir(parents=True)
    for file in root.glob("scannetv2_*.txt"):
        text = file.read_text().replace("\n", "\r\n") + "\n\n"
        (root / "Tasks" / "Benchmark" / file.name).write_text(text)
        file.unlink()
    assert len(find_scenes(root, ("train", "val")).scenes) == 4
    shutil.rmtree(root / "Tasks")
    with pytest.raises(ValueError, match=r"no list scannetv2_train\.txt.*Tasks/Benchmark"):
        find_scenes(root, ("train", "val"))


def test_without_scannet_one_line_says_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no ScanNet here") as caught:
        find_scenes(tmp_path / "nowhere", ("train",))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in (str(tmp_path), "--scannet", "SCANNET=", "scan-net.org", "make demo"):
        assert part in message


def test_a_list_that_is_no_text_is_named(scannet: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    (root / "scannetv2_val.txt").write_bytes(b"\xff\xfe\x00s")
    with pytest.raises(ValueError, match=r"scannetv2_val.txt: expected text"):
        find_scenes(root, ("train", "val"))


def test_a_scene_in_two_lists_is_refused(scannet: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    (root / "scannetv2_val.txt").write_text("scene0000_00\n")
    with pytest.raises(ValueError, match="scene0000_00 is in the lists of both train and val"):
        find_scenes(root, ("train", "val"))


def test_files_by_name(tmp_path: Path) -> None:
    first, second, odd = tmp_path / "b.sens", tmp_path / "a.sens", tmp_path / "a b.sens"
    for file in (first, second, odd):
        file.write_bytes(b"1234")
    found = scenes_from_files([first, second], "val")
    assert [(s.scene_id, s.split, s.size_bytes) for s in found.scenes] == [
        ("a", "val", 4),
        ("b", "val", 4),
    ]
    with pytest.raises(ValueError, match="cannot be a scene's name"):
        scenes_from_files([odd], "val")
    with pytest.raises(ValueError, match="no such file"):
        scenes_from_files([tmp_path / "c.sens"], "val")
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "a.sens"
    twin.write_bytes(b"")
    with pytest.raises(ValueError, match="two files for scene a"):
        scenes_from_files([second, twin], "val")
