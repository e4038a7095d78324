"""ModelNet40 in the layout of `modelnet40_normal_resampled`, as PointNet++ published it.

- `modelnet40_shape_names.txt`: a class a line; its label is the number of the line, from 0;
- `modelnet40_{train,test}.txt`: shape ids such as `night_stand_0001`, a line each;
- `<class>/<id>.txt`: a point a line, `x,y,z,nx,ny,nz`; the official files have 10,000 of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.sources.text_table import read_rows

CLASSES = (
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone",
    "cup", "curtain", "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard",
    "lamp", "laptop", "mantel", "monitor", "night_stand", "person", "piano", "plant", "radio",
    "range_hood", "sink", "sofa", "stairs", "stool", "table", "tent", "toilet", "tv_stand", "vase",
    "wardrobe", "xbox",
)  # fmt: skip
NAMES_FILE = "modelnet40_shape_names.txt"
SPLITS = ("train", "test")
_LINE = "{:.6f},{:.6f},{:.6f},{:.6f},{:.6f},{:.6f}\n"


def split_file(root: Path, split: str) -> Path:
    """The list of one split's shape ids."""
    return root / f"modelnet40_{split}.txt"


def shape_file(root: Path, shape_id: str) -> Path:
    """The points of one shape; its class is its id without the number."""
    return root / shape_id.rpartition("_")[0] / f"{shape_id}.txt"


def read_classes(root: Path) -> list[str]:
    """Return the class names in the order of their labels."""
    return _read_lines(root / NAMES_FILE)


def read_split(root: Path, split: str) -> list[str]:
    """Return the ids of one split, in the list's order."""
    return _read_lines(split_file(root, split))


def read_shape(root: Path, shape_id: str) -> NDArray[np.float32]:
    """Return points and normals (N, 6), as stored. Raises ValueError naming a bad file."""
    return read_rows(shape_file(root, shape_id), ",", 6)


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; expected ModelNet40 in the layout of "
            "modelnet40_normal_resampled (https://shapenet.cs.stanford.edu/media/"
            "modelnet40_normal_resampled.zip)"
        )
    return path.read_text("utf-8-sig").split()


def write_lists(root: Path, shape_ids: Mapping[str, Sequence[str]]) -> None:
    """Write the class names and each split's list of ids."""
    root.mkdir(parents=True, exist_ok=True)
    (root / NAMES_FILE).write_text("".join(f"{name}\n" for name in CLASSES))
    for split, ids in shape_ids.items():
        split_file(root, split).write_text("".join(f"{shape_id}\n" for shape_id in ids))


def write_shape(
    root: Path,
    shape_id: str,
    points: NDArray[np.floating[Any]],
    normals: NDArray[np.floating[Any]],
) -> None:
    """Write points (N, 3) with unit normals (N, 3)."""
    path = shape_file(root, shape_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([points, normals], axis=1).tolist()
    path.write_text("".join(_LINE.format(*row) for row in rows))
