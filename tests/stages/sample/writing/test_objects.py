"""The sample's objects: shapes, parts, and that the official loaders' rules accept the files."""

from pathlib import Path

import numpy as np
import pytest

from stages.sample.writing import objects
from stages.sample.writing.objects import CATEGORIES, CLASSES, Classified, Parted, sample_points
from stages.sources import modelnet40, shapenetpart


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_modelnets_and_stand_upright(name: str) -> None:
    assert name in modelnet40.CLASSES
    for seed, builder in enumerate(CLASSES[name]):
        sampled = sample_points(builder(np.random.default_rng(seed)), 512, np.random.default_rng(0))
        assert sampled.points.shape == sampled.normals.shape == (512, 3)
        np.testing.assert_allclose(np.linalg.norm(sampled.points, axis=1).max(), 1)
        np.testing.assert_allclose(sampled.points.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(sampled.normals, axis=1), 1)


def test_y_is_up_and_the_front_is_towards_minus_z() -> None:
    """A sofa's back is high and behind."""
    np.testing.assert_allclose(np.linalg.det(objects.TO_Y_UP), 1)
    piece = CLASSES["sofa"][0](np.random.default_rng(1))
    sampled = sample_points(piece, 4000, np.random.default_rng(0))
    back = sampled.part == [part.name for part in piece.parts].index("back")
    assert sampled.points[back, 1].mean() > sampled.points[~back, 1].mean()
    assert sampled.points[back, 2].mean() > sampled.points[~back, 2].mean()


@pytest.mark.parametrize("name", CATEGORIES)
def test_parts_are_named_in_full(name: str) -> None:
    builders, parts = CATEGORIES[name]
    assert len(parts) == len(shapenetpart.CATEGORIES[name].parts)
    made = [
        {part.name for part in builder(np.random.default_rng(seed)).parts}
        for builder in builders
        for seed in range(12)
    ]
    assert set().union(*made) == set(parts)
    assert all(len(names) >= 2 for names in made)


def test_files_are_in_the_official_layout(tmp_path: Path) -> None:
    classified, parted = Classified(train=2, test=1), Parted(train=1, val=1, test=1)
    objects.write_lists(tmp_path, classified, parted)
    root = tmp_path / objects.MODELNET_FOLDER
    objects.write_class(root, "night_stand", classified, 128, seed=0)
    assert len((root / "modelnet40_shape_names.txt").read_text().split()) == 40
    assert "night_stand_0002" in (root / "modelnet40_train.txt").read_text().split()
    assert "night_stand_0003" in (root / "modelnet40_test.txt").read_text().split()
    table = np.loadtxt(root / "night_stand" / "night_stand_0003.txt", delimiter=",")
    assert table.shape == (128, 6)
    first, second = (modelnet40.read_shape(root, f"night_stand_000{n}") for n in (1, 2))
    assert (first != second).any()

    root = tmp_path / objects.SHAPENET_FOLDER
    objects.write_category(root, "Lamp", parted, 128, seed=0)
    for split in shapenetpart.SPLITS:
        (token,) = [t for name, t in shapenetpart.read_split(root, split) if name == "Lamp"]
        table = np.loadtxt(root / "03636649" / f"{token}.txt")
        assert table.shape[1] == 7
        assert set(table[:, 6]) <= {24, 25, 26, 27}
        _, parts = shapenetpart.read_shape(root, "Lamp", token)
        np.testing.assert_array_equal(parts, table[:, 6])
