"""ModelNet40 and ShapeNetPart: read as the official loaders read them, and what bad files say."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.sources import modelnet40, shapenetpart
from tests.conftest import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "voting"


def unit_sphere(points: np.ndarray) -> np.ndarray:
    centred = points - points.mean(axis=0)
    return centred / np.linalg.norm(centred, axis=1).max()


def test_modelnet_is_read_as_the_official_loader_reads_it() -> None:
    """Which returns the 64 points of the files in an order of its own (FPS, random start)."""
    root, expected = GOLDEN / "modelnet_mini", np.load(GOLDEN / "modelnet_mini_expected.npz")
    classes = modelnet40.read_classes(root)
    for split in modelnet40.SPLITS:
        ids = modelnet40.read_split(root, split)
        assert ids == json.loads((GOLDEN / "meta.json").read_text())["modelnet_mini"][split]["ids"]
        labels = [classes.index(shape_id.rpartition("_")[0]) for shape_id in ids]
        np.testing.assert_array_equal(labels, expected[f"{split}/dat_labels"].ravel())
        for shape_id, stored in zip(ids, expected[f"{split}/dat_points"], strict=True):
            ours = modelnet40.read_shape(root, shape_id)
            there = {tuple(row) for row in ours.tolist()}
            assert {tuple(row) for row in stored.tolist()} <= there


def test_shapenetpart_is_read_as_the_official_loader_reads_it() -> None:
    root, expected = (
        GOLDEN / "shapenetpart_mini",
        np.load(GOLDEN / "shapenetpart_mini_expected.npz"),
    )
    names = list(shapenetpart.CATEGORIES)
    for split, lists in {"trainval": ("train", "val"), "test": ("test",)}.items():
        shapes = {shape for name in lists for shape in shapenetpart.read_split(root, name)}
        ordered = sorted(shapes, key=lambda shape: (names.index(shape[0]), shape[1]))
        assert [names.index(category) for category, _ in ordered] == expected[
            f"{split}/cls"
        ].ravel().tolist()
        for row, (category, token) in enumerate(ordered):
            points, parts = shapenetpart.read_shape(root, category, token)
            chosen = expected[f"{split}/choice"][row]
            np.testing.assert_array_equal(parts[chosen], expected[f"{split}/seg"][row])
            np.testing.assert_allclose(
                unit_sphere(points[:, :3])[chosen], expected[f"{split}/points"][row], atol=1e-6
            )


def test_the_categories_are_the_published_ones() -> None:
    file = GOLDEN / "shapenetpart_mini" / shapenetpart.NAMES_FILE
    lines = [line.split() for line in file.read_text().splitlines()]
    assert lines == [[name, c.synset] for name, c in shapenetpart.CATEGORIES.items()]
    parts = [part for category in shapenetpart.CATEGORIES.values() for part in category.parts]
    assert parts == list(range(50))
    assert len(modelnet40.CLASSES) == 40 == len(set(modelnet40.CLASSES))
    assert list(modelnet40.CLASSES) == sorted(modelnet40.CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 6 numbers a line"),
        ("1,2,3,4,5\n", "expected 6 numbers a line, found 5"),
        ("1,2,3,4,5,x\n", "expected 6 numbers a line"),
        ("1,2,3,4,5,6\n1,2,3,4,5,6,7\n", "expected 6 numbers a line"),
        ("1,2,3,4,5,nan\n", "not finite"),
        (None, "no such file, though a list names it"),
    ],
)
def test_a_bad_shape_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    (tmp_path / "chair").mkdir()
    if text is not None:
        (tmp_path / "chair" / "chair_0001.txt").write_text(text)
    with pytest.raises(ValueError, match=f"chair_0001.txt: .*{message}"):
        modelnet40.read_shape(tmp_path, "chair_0001")


def test_a_part_of_another_category_is_refused(tmp_path: Path) -> None:
    (tmp_path / "03001627").mkdir()
    (tmp_path / "03001627" / "a.txt").write_text("1 2 3 0 0 1 11.000000\n")
    with pytest.raises(ValueError, match="part 11 to 11, a Chair has 12 to 15"):
        shapenetpart.read_shape(tmp_path, "Chair", "a")


def test_lists_that_are_missing_or_odd_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="modelnet40_normal_resampled"):
        modelnet40.read_split(tmp_path, "train")
    with pytest.raises(ValueError, match="shapenetcore_partanno"):
        shapenetpart.read_split(tmp_path, "train")
    root = shutil.copytree(GOLDEN / "shapenetpart_mini", tmp_path / "parts")
    for text in ("[", "5", '["shape_data/99999999/a"]', '["a"]'):
        shapenetpart.split_file(root, "val").write_text(text)
        with pytest.raises(ValueError, match="expected a JSON list"):
            shapenetpart.read_split(root, "val")
