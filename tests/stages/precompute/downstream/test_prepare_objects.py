"""Object data sets in each layout that people have: read, ordered, faulty shapes named and left out."""

import errno
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cache.card import CardError, OtherConfigurationError
from cache.data_sets import ObjectSet
from cache.objects import read_objects
from cache.scene_group import list_scenes
from pipeline.cli import app
from stages.geometry.pointops import farthest_point_sample
from stages.machine import workers
from stages.precompute.downstream import prepare_objects
from stages.precompute.downstream.prepare_objects import ObjectsConfig
from stages.sources import modelnet40, shapenetpart
from stages.sources.off_mesh import read_off, sample_surface
from tests.conftest import REPOSITORY, real_data
from tests.harness.killed_pools import KilledPool

MINI = REPOSITORY / "tests" / "golden" / "voting"
CUBE = """OFF8 6 0
0 0 0
1 0 0
1 1 0
0 1 0
0 0 1
1 0 1
1 1 1
0 1 1
4 0 1 2 3
4 4 5 6 7
4 0 1 5 4
4 2 3 7 6
4 1 2 6 5
4 0 3 7 4
"""


def prepare(
    tmp_path: Path, data_set: str, root: Path, **changes: object
) -> prepare_objects.ObjectsReport:
    config = ObjectsConfig(**{"fps_points": 32, "mesh_points": 256, **changes})  # type: ignore[arg-type]
    return prepare_objects.run(
        config, ObjectSet(data_set), root=root, store=tmp_path / "objects" / f"{data_set}.zarr"  # type: ignore[arg-type]
    )  # fmt: skip


def test_modelnet40_text(tmp_path: Path) -> None:
    root = MINI / "modelnet_mini"
    report = prepare(tmp_path, "modelnet40", root)
    assert report.shapes == {"train": 8, "test": 4}
    assert report.published == {"train": 9843, "test": 2468}
    found = read_objects(tmp_path / "objects" / "modelnet40.zarr", "test")
    ids = modelnet40.read_split(root, "test")
    assert found.names == tuple(ids)
    assert found.classes == tuple(modelnet40.read_classes(root))
    for number, name in enumerate(ids):
        rows = modelnet40.read_shape(root, name)
        own = found.points[found.start[number] : found.start[number + 1]]
        assert {tuple(p) for p in own.tolist()} == {tuple(p) for p in rows[:, :3].tolist()}
        assert found.classes[found.label[number]] == name.rpartition("_")[0]
        # The first ones are the farthest point sample of the normalised shape.
        points = torch.from_numpy(rows[:, :3])
        points = points - points.mean(dim=0)
        points = points / points.norm(dim=1).max()
        chosen = farthest_point_sample(points[None], 32)[0]
        np.testing.assert_array_equal(own[:32], rows[chosen.numpy(), :3])


def test_complete_splits_are_left_alone(tmp_path: Path) -> None:
    root = MINI / "modelnet_mini"
    prepare(tmp_path, "modelnet40", root)
    again = prepare(tmp_path, "modelnet40", root)
    assert (again.shapes, again.complete_before) == ({"train": 8, "test": 4}, ["train", "test"])
    with pytest.raises(OtherConfigurationError, match=r"fps_points: 32 there, 16 asked"):
        prepare(tmp_path, "modelnet40", root, fps_points=16)


def test_shapenetpart(tmp_path: Path) -> None:
    report = prepare(tmp_path, "shapenetpart", MINI / "shapenetpart_mini")
    found = read_objects(tmp_path / "objects" / "shapenetpart.zarr", "test")
    assert report.shapes["test"] == len(found) == 16
    assert found.parts == tuple(c.parts for c in shapenetpart.CATEGORIES.values())
    assert found.part is not None
    for number in range(len(found)):
        own = found.part[found.start[number] : found.start[number + 1]]
        assert set(own.tolist()) <= set(found.parts[found.label[number]])
    expected = np.load(MINI / "shapenetpart_mini_expected.npz")
    assert sorted(found.label.tolist()) == sorted(expected["test/cls"].ravel().tolist())


def write_h5(path: Path, seed: int, *, normal: bool = False) -> np.ndarray:
    generator = np.random.default_rng(seed)
    data = generator.normal(size=(5, 64, 3)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"] = data
        file["label"] = generator.integers(0, 3, (5, 1)).astype(np.uint8)
        if normal:
            file["normal"] = data
    return data


def test_modelnet40_hdf5(tmp_path: Path) -> None:
    root = tmp_path / "modelnet40_ply_hdf5_2048"
    data = write_h5(root / "ply_data_train0.h5", 0, normal=True)
    write_h5(root / "ply_data_test0.h5", 1, normal=True)
    (root / "shape_names.txt").write_text("airplane\nbathtub\nbed\n")
    for split in ("train", "test"):
        (root / f"{split}_files.txt").write_text(f"data/elsewhere/ply_data_{split}0.h5\n")
    report = prepare(tmp_path, "modelnet40", root)
    assert report.layout == "modelnet40_ply_hdf5_2048"
    found = read_objects(tmp_path / "objects" / "modelnet40.zarr", "train")
    assert len(found) == 5
    assert found.normals is not None
    np.testing.assert_array_equal(np.sort(found.points[:64, 0]), np.sort(data[0, :, 0]))
    (root / "ply_data_test0.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"ply_data_test0.h5: expected HDF5"):
        prepare(tmp_path / "b", "modelnet40", root)


@pytest.mark.parametrize("variant", ["obj_bg", "obj_only", "pb_t50_rs"])
def test_scanobjectnn(tmp_path: Path, variant: str) -> None:
    names = {
        "obj_bg": "main_split/{}_objectdataset.h5",
        "obj_only": "main_split_nobg/{}_objectdataset.h5",
        "pb_t50_rs": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
    }
    for split, seed in (("training", 0), ("test", 1)):
        write_h5(tmp_path / "h5_files" / names[variant].format(split), seed)
    report = prepare(tmp_path, "scanobjectnn", tmp_path, scanobjectnn_variant=variant)
    assert report.shapes == {"train": 5, "test": 5}
    found = read_objects(tmp_path / "objects" / "scanobjectnn.zarr", "train")
    assert len(found.classes) == 15


def write_meshes(root: Path) -> None:
    for split in ("train", "test"):
        folder = root / "cube" / split
        folder.mkdir(parents=True)
        (folder / "cube_0001.off").write_text(CUBE)
        (folder / "cube_0002.off").write_text("OFF\n1 1\n")
    (root / "cube" / "train" / "cube_0003.off").write_text("ply\n")


def test_off_meshes_and_faulty_ones(tmp_path: Path) -> None:
    write_meshes(tmp_path / "m")
    report = prepare(tmp_path, "modelnet40", tmp_path / "m")
    assert report.shapes == {"train": 1, "test": 1}
    assert set(report.failed) == {"cube_0002", "cube_0003"}
    assert "expected an OFF mesh, it begins with 'ply'" in report.failed["cube_0003"]
    found = read_objects(tmp_path / "objects" / "modelnet40.zarr", "train")
    assert len(found.points) == 256
    # On the surface of the unit cube: some coordinate is 0 or 1.
    on = np.isclose(found.points, 0) | np.isclose(found.points, 1)
    assert on.any(axis=1).all()
    said = CliRunner().invoke(
        app, ["prepare", "modelnet40", str(tmp_path / "m"), "--workspace", str(tmp_path / "w"),
              "--set", "prepare.mesh_points=64", "--strict", "--workers", "1"],
    )  # fmt: skip
    assert "train: 1 shape (published: 9843)" in said.output
    assert "left out: cube_0003: " in said.output
    assert said.exit_code == 1


def test_surface_samples_are_even() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 3], [1, 0, 3]], float)
    # A unit square, and a wall three times its area.
    triangles = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 5], [0, 5, 4]])
    points, normals = sample_surface(vertices, triangles, 4000, np.random.default_rng(0))
    wall = points[:, 2] > 1e-9
    assert abs(wall.mean() - 0.75) < 0.03
    assert np.abs(normals[wall, 1]).min() > 0.99
    with pytest.raises(ValueError, match="no area"):
        sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]), 8, np.random.default_rng(0))


def test_real_off_meshes() -> None:
    for path in sorted(real_data("modelnet_off").glob("*.off")):
        vertices, triangles = read_off(path)
        points, _ = sample_surface(vertices, triangles, 500, np.random.default_rng(0))
        assert (points >= vertices.min(axis=0) - 1e-6).all()
        assert (points <= vertices.max(axis=0) + 1e-6).all()


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no ModelNet40 here; known layouts are"):
        prepare(tmp_path, "modelnet40", tmp_path)
    store = tmp_path / "objects" / "modelnet40.zarr"
    with pytest.raises(CardError, match="has no split 'train', only nothing; run prepare"):
        read_objects(store, "train")
    prepare(tmp_path, "modelnet40", MINI / "modelnet_mini")
    (store / "train" / "label" / "c" / "0").unlink()
    with pytest.raises(CardError, match="chunks are missing"):
        read_objects(store, "train")


def test_missing_files_are_named(tmp_path: Path) -> None:
    root = tmp_path / "r"
    modelnet40.write_lists(root, {"train": ["bed_0001", "bed_0002"], "test": ["bed_0001"]})
    points = np.random.default_rng(0).normal(size=(64, 3))
    modelnet40.write_shape(root, "bed_0001", points, points)
    report = prepare(tmp_path, "modelnet40", root)
    assert report.shapes == {"train": 1, "test": 1}
    assert "bed_0002.txt: no such file, though a list names it" in report.failed["bed_0002"]
    assert json.dumps(report.failed)


@pytest.mark.parametrize("split", ["train", "test"])
def test_if_no_shape_of_a_split_can_be_read_no_store_is_left(tmp_path: Path, split: str) -> None:
    write_meshes(tmp_path / "m")
    for file in (tmp_path / "m").glob(f"*/{split}/*.off"):
        file.write_text("ply")
    with pytest.raises(ValueError, match=f"{split}: none of its . shapes can be read: .*OFF mesh"):
        prepare(tmp_path, "modelnet40", tmp_path / "m")
    assert not (tmp_path / "objects" / "modelnet40.zarr").exists()


def test_a_shape_that_may_not_be_read_now_fails_its_split_until_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = MINI / "modelnet_mini"
    name = modelnet40.read_split(root, "train")[0]
    read_shape = modelnet40.read_shape

    def read(root: Path, shape_id: str) -> np.ndarray:
        if shape_id == name:
            raise PermissionError(13, "Permission denied", shape_id)
        return read_shape(root, shape_id)

    with monkeypatch.context() as patch:
        patch.setattr(modelnet40, "read_shape", read)
        report = prepare(tmp_path, "modelnet40", root)
    assert report.shapes == {"test": 4}
    assert "Permission denied" in report.failed_splits["train"]
    store = tmp_path / "objects" / "modelnet40.zarr"
    assert list_scenes(store) == ["test"]
    again = prepare(tmp_path, "modelnet40", root)
    assert (again.shapes, again.complete_before) == ({"train": 8, "test": 4}, ["test"])
    assert again.failed == {}


def test_workers_that_are_killed_leave_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["prepare", "modelnet40", str(MINI / "modelnet_mini"), "--workers", "2",
             "--workspace", str(tmp_path), "--set", "prepare.fps_points=0"]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(workers, "Pool", KilledPool)
        said = CliRunner().invoke(app, words)
    assert "failed: train: shapes " in said.output
    assert workers.DIED in said.output
    assert "train, test: not prepared" in str(said.exception)
    assert not (tmp_path / "objects" / "modelnet40.zarr").exists()
    said = CliRunner().invoke(app, words)
    assert (said.exit_code, "train: 8 shapes" in said.output) == (0, True)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_what_keeps_a_table_from_being_read_is_no_fault_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    root = MINI / "modelnet_mini"
    name = modelnet40.read_split(root, "train")[3]
    read_bytes = Path.read_bytes

    def unreadable(path: Path) -> bytes:
        if path.stem == name:
            raise error
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    report = prepare(tmp_path, "modelnet40", root)
    assert (report.shapes, report.failed) == ({"test": 4}, {})
    assert f"{name}: {str(error) or 'there was not enough memory'}" in report.failed_splits["train"]
