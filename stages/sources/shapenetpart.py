"""ShapeNetPart in the layout of `shapenetcore_partanno_segmentation_benchmark_v0_normal`.

- `synsetoffset2category.txt`: a category a line, its name, a tab, its synset; its label is the
  number of the line, from 0;
- `train_test_split/shuffled_{train,val,test}_file_list.json`: `shape_data/<synset>/<token>`;
- `<synset>/<token>.txt`: a point a line, `x y z nx ny nz part`, the part a number from 0 to 49.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.sources.text_table import read_rows


@dataclass(frozen=True)
class Category:
    """One category: its WordNet synset, and its parts among all 50."""

    synset: str
    parts: range


CATEGORIES = {
    "Airplane": Category("02691156", range(4)),
    "Bag": Category("02773838", range(4, 6)),
    "Cap": Category("02954340", range(6, 8)),
    "Car": Category("02958343", range(8, 12)),
    "Chair": Category("03001627", range(12, 16)),
    "Earphone": Category("03261776", range(16, 19)),
    "Guitar": Category("03467517", range(19, 22)),
    "Knife": Category("03624134", range(22, 24)),
    "Lamp": Category("03636649", range(24, 28)),
    "Laptop": Category("03642806", range(28, 30)),
    "Motorbike": Category("03790512", range(30, 36)),
    "Mug": Category("03797390", range(36, 38)),
    "Pistol": Category("03948459", range(38, 41)),
    "Rocket": Category("04099429", range(41, 44)),
    "Skateboard": Category("04225987", range(44, 47)),
    "Table": Category("04379243", range(47, 50)),
}
NAMES_FILE = "synsetoffset2category.txt"
SPLITS = ("train", "val", "test")
_LINE = "{:.5f} {:.5f} {:.5f} {:.4f} {:.4f} {:.4f} {:.6f}\n"


def split_file(root: Path, split: str) -> Path:
    """The list of one split's shapes."""
    return root / "train_test_split" / f"shuffled_{split}_file_list.json"


def read_split(root: Path, split: str) -> list[tuple[str, str]]:
    """Return (category, token) of one split's shapes, in the list's order."""
    path = split_file(root, split)
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; expected ShapeNetPart in the layout of "
            "shapenetcore_partanno_segmentation_benchmark_v0_normal (https://shapenet.cs.stanford."
            "edu/media/shapenetcore_partanno_segmentation_benchmark_v0_normal.zip)"
        )
    names = {category.synset: name for name, category in CATEGORIES.items()}
    try:
        items = [str(item).split("/")[-2:] for item in json.loads(path.read_text())]
        return [(names[synset], token) for synset, token in items]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a JSON list of shape_data/<synset>/<token>: {error!r}"
        ) from None


def read_shape(
    root: Path, category: str, token: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return points and normals (N, 6), as stored, and parts (N,) among all 50.

    Raises ValueError naming a bad file, or one with a part that its category does not have.
    """
    path = root / CATEGORIES[category].synset / f"{token}.txt"
    rows = read_rows(path, " ", 7)
    parts = rows[:, 6].astype(np.int64)
    known = CATEGORIES[category].parts
    if len(rows) and not (known.start <= parts.min() and parts.max() < known.stop):
        raise ValueError(
            f"{path}: part {parts.min()} to {parts.max()}, a {category} has {known.start} to "
            f"{known.stop - 1}"
        )
    return rows[:, :6], parts


def write_lists(root: Path, shapes: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Write the categories and each split's list of (category, token)."""
    (root / "train_test_split").mkdir(parents=True, exist_ok=True)
    lines = [f"{name}\t{category.synset}\n" for name, category in CATEGORIES.items()]
    (root / NAMES_FILE).write_text("".join(lines))
    for split, items in shapes.items():
        paths = [f"shape_data/{CATEGORIES[name].synset}/{token}" for name, token in items]
        split_file(root, split).write_text(json.dumps(paths))


def write_shape(
    root: Path,
    category: str,
    token: str,
    points: NDArray[np.floating[Any]],
    normals: NDArray[np.floating[Any]],
    parts: NDArray[np.integer[Any]],
) -> None:
    """Write points (N, 3) with unit normals (N, 3) and parts (N,) among all 50."""
    path = root / CATEGORIES[category].synset / f"{token}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([points, normals, parts[:, None]], axis=1).tolist()
    path.write_text("".join(_LINE.format(*row) for row in rows))
