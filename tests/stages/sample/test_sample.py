"""The sample world on disk: its formats as independent readers see them, and the same bytes again."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import plyfile
import pytest

from cache.card import CardError
from cache.frames import KEPT, read_frames
from pipeline import cli
from stages.precompute.recordings import extract
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.sample.rooms.rooms import make_room
from stages.sample.sample import LABEL_FILE, Rooms, SampleConfig, run
from stages.sample.things.labels import LABELS, label_table
from stages.sample.writing.captions import describe, visible_objects
from stages.sample.writing.objects import (
    CATEGORIES,
    CLASSES,
    MODELNET_FOLDER,
    SHAPENET_FOLDER,
    Classified,
    Parted,
)
from stages.sample.writing.recordings import record, set_up, shots
from stages.sources.images import image_size
from stages.sources.scannet_layout import find_scenes, scenes_from_files
from stages.sources.sens import SensReader, decode_depth

CONFIG = SampleConfig(
    recorded=Rooms(train=1, val=1),
    frames_per_recording=12,
    scanned=Rooms(train=1, val=1),
    captioned=Rooms(train=1, val=1),
    images_per_captioned_room=3,
    modelnet40=Classified(train=1, test=1),
    shapenetpart=Parted(train=1, val=1, test=1),
    points_per_object=256,
)


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    run(CONFIG, out=root / "sample", captions=root / "captions.parquet")
    return root


@pytest.mark.processes
def test_a_seed_gives_the_same_bytes(world: Path, tmp_path: Path) -> None:
    run(CONFIG, out=tmp_path / "sample", captions=tmp_path / "captions.parquet", workers=2)
    assert tree(tmp_path) == tree(world)


def test_it_is_written_once_and_never_mixed(world: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
    run(CONFIG, out=world / "sample", captions=world / "captions.parquet")
    assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before
    other = CONFIG.model_copy(update={"seed": 1})
    with pytest.raises(CardError, match="seed: 0 there, 1 asked"):
        run(other, out=world / "sample", captions=world / "captions.parquet")
    with pytest.raises(CardError, match="is no sample world"):
        run(CONFIG, out=world, captions=world / "captions.parquet")


def test_it_says_that_it_is_synthetic(world: Path) -> None:
    assert "synthetic" in (world / "sample" / "README.md").read_text()


def test_it_draws_and_inspects(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`inspect` and `contact-sheet` know the sample world without being told where it is."""
    for words, expected in (
        (["inspect", str(world), "--verify"], "2 recordings, 2 scans"),
        (["inspect", str(world / "captions.parquet")], "6 images (3 train, 3 val), 24 captions"),
    ):
        monkeypatch.setattr("sys.argv", ["distill3d", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert (end.value.code, expected in capsys.readouterr().out) == (0, True)
    root, sheets = world / "sample", world / "sheets"
    objects = (MODELNET_FOLDER, SHAPENET_FOLDER)
    monkeypatch.setattr(
        "sys.argv",
        ["distill3d", "contact-sheet", "--workspace", str(sheets), "--scannet", str(root / "scans"),
         "--modelnet40", str(root / objects[0]), "--shapenetpart", str(root / objects[1])],
    )  # fmt: skip
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    drawn = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.name for path in drawn] == ["scans.png", "modelnet40.png", "shapenetpart.png"]
    sizes = [image_size(path.read_bytes()) for path in drawn]
    assert sizes == [
        (3 * 480, 2 * 360),
        (6 * 240, len(CLASSES) // 6 * 200),
        (6 * 240, len(CATEGORIES) // 6 * 200),
    ]


def test_recordings_are_whole_and_can_be_extracted(world: Path, tmp_path: Path) -> None:
    found = find_scenes(world / "sample" / "recordings", ("train", "val"))
    assert [(scene.scene_id, scene.split) for scene in found.scenes] == [
        ("scene1000_00", "train"),
        ("scene1001_00", "val"),
    ]
    config = ExtractConfig(stride_frames=4)
    report = extract.run(
        config, scenes=found.scenes, frames=tmp_path / "frames", points=tmp_path / "points.zarr"
    )
    assert (report.extracted, report.failed, report.damaged) == (2, {}, {})
    assert report.statuses[KEPT] >= 5


def test_scans_have_scannets_files(world: Path) -> None:
    for scene_id in ("scene2000_00", "scene2001_00"):
        folder = world / "sample" / "scans" / "scans" / scene_id
        mesh = plyfile.PlyData.read(folder / f"{scene_id}_vh_clean_2.ply")
        labels = plyfile.PlyData.read(folder / f"{scene_id}_vh_clean_2.labels.ply")
        vertices = mesh["vertex"].data
        assert vertices.dtype.names == ("x", "y", "z", "red", "green", "blue", "alpha")
        faces = np.vstack(mesh["face"].data["vertex_indices"])
        assert 0 <= faces.min() <= faces.max() < len(vertices)
        segs = json.loads((folder / f"{scene_id}_vh_clean_2.0.010000.segs.json").read_text())
        assert len(segs["segIndices"]) == len(vertices) == len(labels["vertex"].data)
        check_annotation(folder, np.array(segs["segIndices"]), labels["vertex"].data["label"])
        check_alignment(folder, np.stack([vertices[axis] for axis in "xyz"], axis=1))


def check_annotation(folder: Path, segments: np.ndarray, nyu40: np.ndarray) -> None:
    """Every segment has one owner, and its label is the one in the labels' mesh."""
    aggregation = json.loads((folder / f"{folder.name}.aggregation.json").read_text())
    assert aggregation["sceneId"] == f"scannet.{folder.name}"
    owner: dict[int, str] = {}
    for number, group in enumerate(aggregation["segGroups"]):
        assert group["id"] == group["objectId"] == number
        for segment in group["segments"]:
            assert segment not in owner
            owner[segment] = group["label"]
    expected = [LABELS[owner[s]].nyu40 if s in owner else 0 for s in segments.tolist()]
    np.testing.assert_array_equal(nyu40, expected)
    assert len(aggregation["segGroups"]) > 8


def check_alignment(folder: Path, vertices: np.ndarray) -> None:
    """The axis alignment matters, and brings the floor to z = 0 and the walls to the axes."""
    lines = (folder / f"{folder.name}.txt").read_text().splitlines()
    values = dict(line.split(" = ") for line in lines)
    matrix = np.array([float(word) for word in values["axisAlignment"].split()]).reshape(4, 4)
    assert not np.allclose(matrix, np.eye(4), atol=0.05)
    aligned = vertices @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(aligned.min(0), 0, atol=0.03)
    for axis in (0, 1):
        near_wall = np.abs(aligned[:, axis] - aligned[:, axis].min()) < 0.02
        assert near_wall.mean() > 0.005  # a whole wall lies in the plane


def test_the_label_table_has_scannets_columns(world: Path) -> None:
    file = world / "sample" / "scans" / LABEL_FILE
    assert file.read_bytes().count(b"\t\r\n") == len(LABELS) + 1
    table = pd.read_csv(file, sep="\t").set_index("raw_category")
    assert table.loc["office chair", "nyu40id"] == 5
    assert table.loc["trash can", "nyu40id"] == 39
    assert label_table().splitlines()[0].split("\t")[:5] == [
        "id", "raw_category", "category", "count", "nyu40id",
    ]  # fmt: skip


def test_captions_come_in_pairs_with_images(world: Path) -> None:
    table = pd.read_parquet(world / "captions.parquet")
    assert list(table.columns) == ["image", "caption", "scene_id", "frame_index", "split"]
    assert len(table) == 2 * 3 * CONFIG.captions_per_image
    assert table.groupby("split").scene_id.unique().map(list).to_dict() == {
        "train": ["scene3000_00"],
        "val": ["scene3001_00"],
    }
    for image in table.image:
        assert image_size(image["bytes"]) == (176, 132)
    per_image = table.groupby(["scene_id", "frame_index"]).caption.nunique()
    assert per_image.mean() > 2


def test_captions_are_true() -> None:
    """Each noun with its number is in the frame, as the renderer saw it."""
    generator = np.random.default_rng(0)
    stage = set_up(make_room("office", generator), generator)
    nouns = sorted({label.noun for label in LABELS.values()}, key=len, reverse=True)
    for shot in shots(stage, 10, generator):
        seen = {LABELS[stage.room.objects[i].label].noun
                for i in visible_objects(stage.room, shot.owner)}  # fmt: skip
        plurals = {label.plural: label.noun for label in LABELS.values()}
        for caption in describe(stage.room, shot.owner, 8, generator):
            assert "a a" not in caption
            assert not any(f" a {vowel}" in f" {caption}" for vowel in "aeiou")
            text = caption
            for plural, noun in sorted(plurals.items(), key=lambda pair: -len(pair[0])):
                text = re.sub(rf"\b{plural}\b", noun, text)
            for noun in nouns:
                if re.search(rf"\b{noun}\b", text):
                    text = re.sub(rf"\b{noun}\b", "", text)
                    assert noun in seen or noun == "wall", (caption, seen)


def test_a_long_recording_at_scannets_rate(tmp_path: Path) -> None:
    """300 frames at stride 25, some without a pose and some without depth among all frames."""
    generator = np.random.default_rng(11)
    stage = set_up(make_room("lounge", generator), generator)
    path = tmp_path / "long.sens"
    record(stage, path, 300, generator)
    with SensReader(path) as sens:
        assert sens.header.color_size != sens.header.depth_size
        frames = list(sens.walk())
        empty = [not decode_depth(sens.payload(f)[1], sens.header).any() for f in frames]
    lost = np.array([not frame.pose_valid for frame in frames])
    assert 0 < lost.mean() < 0.2
    assert 0 < np.mean(empty) < 0.1
    scenes = scenes_from_files([path], "train").scenes
    extract.run(ExtractConfig(), scenes=scenes, frames=tmp_path / "f", points=tmp_path / "p.zarr")
    rows = read_frames(tmp_path / "f" / "long.parquet").to_pylist()
    assert [row["frame_index"] for row in rows] == list(range(0, 300, 25))
