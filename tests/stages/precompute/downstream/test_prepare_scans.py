"""Annotated scans: as the references read them, per scene, resumable, VoteNet's arrays too."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cache.card import CardError
from cache.data_sets import ScanSet
from cache.scannet_classes import SCANNET
from cache.scans import read_scan
from pipeline.cli import app
from stages.precompute.downstream import prepare_scans
from stages.sources import scannet_scans
from stages.sources.scannet_scans import read_alignment, read_label_table
from tests.conftest import REPOSITORY, real_data

GOLDEN = REPOSITORY / "tests" / "golden" / "scannet_labels"
SCENES = ("scene0901_00", "scene0902_00")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The golden scenes as a ScanNet folder."""
    folder = tmp_path / "scannet"
    shutil.copytree(GOLDEN / "scans", folder / "scans")
    shutil.copy(GOLDEN / "labels.tsv", folder / scannet_scans.LABEL_FILE)
    for split, ids in (("train", SCENES[:1]), ("val", (SCENES[1], "scene0999_00")), ("test", ())):
        (folder / f"scannetv2_{split}.txt").write_text("".join(f"{name}\n" for name in ids))
    return folder


def prepare(root: Path, **options: object) -> prepare_scans.ScansReport:
    return prepare_scans.run(
        ScanSet.SCANNET, root=root, store=root.parent / "scans" / "scannet.zarr", **options
    )  # type: ignore[arg-type]


def test_scans_are_as_the_references_read_them(root: Path) -> None:
    report = prepare(root)
    assert report.prepared == {"train": 1, "val": 1}
    assert (report.missing, report.failed) == (["scene0999_00"], {})
    boxes = 0
    for scene_id in SCENES:
        golden = np.load(GOLDEN / f"{scene_id}.golden.npz")
        scan = read_scan(root.parent / "scans" / "scannet.zarr", scene_id)
        np.testing.assert_allclose(scan.vertices, golden["vertices"][:, :3], atol=1e-6)
        np.testing.assert_array_equal(scan.colors, golden["vertices"][:, 3:])
        np.testing.assert_array_equal(scan.semantic, golden["semantic_nyu40"])
        np.testing.assert_array_equal(scan.semantic, golden["scannet_eval_label_ids"])
        np.testing.assert_array_equal(scan.instance, golden["instance"])
        assert scan.boxes is not None
        np.testing.assert_allclose(scan.boxes, golden["bbox_all"], atol=1e-6)
        of_18 = scan.boxes[np.isin(scan.boxes[:, 6], SCANNET.detection.ids)]
        np.testing.assert_allclose(of_18, golden["bbox_18"], atol=1e-6)
        assert tuple(golden["nyu40ids_detection"]) == SCANNET.detection.ids
        boxes += len(of_18)
    assert report.boxes == boxes


def test_complete_scenes_are_left_alone_and_changed_ones_named(root: Path) -> None:
    prepare(root)
    assert prepare(root).complete_before == 2
    text = root / "scans" / SCENES[0] / f"{SCENES[0]}.txt"
    text.write_text(text.read_text() + "\n")
    report = prepare(root)
    assert report.complete_before == 1
    assert "prepared from something else: files.scene0901_00.txt" in report.failed[SCENES[0]]
    assert prepare(root, overwrite=True).failed == {}


def test_test_scenes_have_no_labels(root: Path) -> None:
    for file in (root / "scans" / SCENES[1]).glob("*.json"):
        file.unlink()
    prepare(root)
    scan = read_scan(root.parent / "scans" / "scannet.zarr", SCENES[1])
    assert scan.semantic is None
    assert scan.boxes is None
    assert len(scan.vertices) == 796


def test_faulty_scenes_fail_alone(root: Path) -> None:
    folder = root / "scans" / SCENES[0]
    segs = next(folder.glob("*.segs.json"))
    faults = {
        "for 5300 vertices": json.dumps({"segIndices": [1, 2]}),
        "expected segIndices": "{",
    }
    whole = segs.read_text()
    for message, text in faults.items():
        segs.write_text(text)
        report = prepare(root, overwrite=True)
        assert message in report.failed[SCENES[0]]
        assert report.prepared == {"val": 1}
    segs.write_text(whole)
    aggregation = folder / f"{SCENES[0]}.aggregation.json"
    groups = json.loads(aggregation.read_text())
    groups["segGroups"][1]["objectId"] = groups["segGroups"][0]["objectId"]
    aggregation.write_text(json.dumps(groups))
    assert "an objectId is there twice" in prepare(root, overwrite=True).failed[SCENES[0]]
    groups["segGroups"][1]["objectId"] = 200
    groups["segGroups"][1]["label"] = "unheard of"
    aggregation.write_text(json.dumps(groups))
    report = prepare(root, overwrite=True)
    assert report.unknown_labels == {"unheard of"}
    with pytest.raises(CardError, match="is missing or incomplete; run prepare scannet"):
        read_scan(root.parent / "scans" / "scannet.zarr", "scene0999_00")


def test_alignments(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("colorHeight = 3\n")
    np.testing.assert_array_equal(read_alignment(file), np.eye(4))
    file.write_text("axisAlignment = 1 0 0\n")
    with pytest.raises(ValueError, match="axisAlignment has 3 numbers, not 16"):
        read_alignment(file)


def test_the_label_table(tmp_path: Path) -> None:
    table = read_label_table(GOLDEN / "labels.tsv")
    assert table["chair"] == 5
    assert (table["cabinet door"], table["cabinet doors"]) == (8, 3)
    (tmp_path / "bad.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match=r"bad\.tsv: expected columns raw_category and nyu40id"):
        read_label_table(tmp_path / "bad.tsv")


def test_votenets_arrays(root: Path) -> None:
    folder = root.parent / "votenet"
    folder.mkdir()
    for scene_id in SCENES:
        golden = np.load(GOLDEN / f"{scene_id}.golden.npz")
        np.save(folder / f"{scene_id}_vert.npy", golden["vertices"])
        np.save(folder / f"{scene_id}_sem_label.npy", golden["semantic_nyu40"])
        np.save(folder / f"{scene_id}_ins_label.npy", golden["instance"])
    report = prepare(root, votenet=folder)
    assert report.prepared == {"train": 1, "val": 1}
    scan = read_scan(root.parent / "scans" / "scannet.zarr", SCENES[0])
    golden = np.load(GOLDEN / f"{SCENES[0]}.golden.npz")
    assert scan.boxes is not None
    np.testing.assert_allclose(scan.boxes, golden["bbox_all"][: len(scan.boxes)], atol=1e-6)


def test_a_real_scan(tmp_path: Path) -> None:
    folder = real_data("scannet_votenet_format")
    scene_id = "scene0000_00"
    scan = scannet_scans.read_votenet(folder, scene_id)
    assert len(scan.vertices) == 81369
    assert scan.boxes is not None
    ours = scan.boxes[np.isin(scan.boxes[:, 6], SCANNET.detection.ids)]
    theirs = np.load(folder / f"{scene_id}_bbox.npy")
    assert len(ours) == len(theirs) == 27
    np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), atol=1e-5)
    for split in ("train", "val", "test"):
        (tmp_path / f"scannetv2_{split}.txt").write_text(
            f"{scene_id}\n" if split == "train" else ""
        )
    done = CliRunner().invoke(
        app, ["prepare", "scannet", str(tmp_path), "--votenet-dir", str(folder), "--workspace",
              str(tmp_path / "w")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "1 scene (1 train), 0 complete before; 27 boxes" in done.output


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no scannetv2-labels.combined.tsv"):
        prepare_scans.run(ScanSet.SCANNET, root=tmp_path, store=tmp_path / "s.zarr")
    shutil.copy(GOLDEN / "labels.tsv", tmp_path / scannet_scans.LABEL_FILE)
    for split in ("train", "val", "test"):
        (tmp_path / f"scannetv2_{split}.txt").write_text("scene0001_00\n" if split == "val" else "")
    with pytest.raises(ValueError, match="none of the 1 listed scenes is there"):
        prepare_scans.run(ScanSet.SCANNET, root=tmp_path, store=tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()  # an empty store would be taken for a prepared one


def test_a_part_of_the_folder_names_the_whole(root: Path) -> None:
    for path in (root / "scans", root / "scans" / SCENES[0]):
        with pytest.raises(
            ValueError, match=rf"a part of ScanNet's folder; prepare scannet {root}$"
        ):
            prepare(path)


def test_without_the_list_of_test_scenes_the_others_are_prepared(root: Path) -> None:
    (root / "scannetv2_test.txt").unlink()
    report = prepare(root)
    assert (report.prepared, report.without_list) == (
        {"train": 1, "val": 1},
        {"test": "scannetv2_test.txt"},
    )
    words = [
        "prepare",
        "scannet",
        str(root),
        "--workspace",
        str(root.parent / "w"),
        "--workers",
        "1",
    ]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    assert "left out: test: no list scannetv2_test.txt there" in said.output
    (root / "scannetv2_val.txt").unlink()
    with pytest.raises(ValueError, match=r"no list scannetv2_val.txt"):
        prepare(root)


def test_a_scene_that_may_not_be_looked_at_fails_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def refused(path: Path) -> bool:
        if path.parent.name == SCENES[0]:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    report = prepare(root)
    assert report.prepared == {"val": 1}
    assert "Permission denied" in report.failed[SCENES[0]]


def test_if_every_scene_fails_no_store_is_left(root: Path) -> None:
    for file in root.glob("scans/*/*.ply"):
        file.write_bytes(b"ply\n")
    words = [
        "prepare",
        "scannet",
        str(root),
        "--workspace",
        str(root.parent / "w"),
        "--workers",
        "1",
    ]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 1
    assert f"failed: {SCENES[0]}: " in said.output
    assert not (root.parent / "w" / "scans" / "scannet.zarr").exists()
