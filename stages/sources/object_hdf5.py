"""Object data sets in HDF5: ModelNet40's `modelnet40_ply_hdf5_2048` and ScanObjectNN's files.

- ModelNet40: `shape_names.txt`, `train_files.txt` and `test_files.txt` naming `ply_data_*.h5`, each
  with `data` (n, 2048, 3) and `label` (n, 1), some with `normal`;
- ScanObjectNN: `main_split` and `main_split_nobg` with `{training,test}_objectdataset*.h5`, each with
  `data` (n, 2048, 3), `label` (n,) and `mask`, -1 where a point is background.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SCANOBJECTNN_CLASSES = (
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed",
    "pillow", "sink", "sofa", "toilet",
)  # fmt: skip
# The three variants that papers report, and where each lies.
SCANOBJECTNN_FILES = {
    "obj_bg": ("main_split", "objectdataset.h5"),
    "obj_only": ("main_split_nobg", "objectdataset.h5"),
    "pb_t50_rs": ("main_split", "objectdataset_augmentedrot_scale75.h5"),
}
SCANOBJECTNN_COUNTS = {
    "obj_bg": {"train": 2309, "test": 581},
    "obj_only": {"train": 2309, "test": 581},
    "pb_t50_rs": {"train": 11416, "test": 2882},
}


@dataclass(frozen=True)
class Block:
    """Shapes of one file: points (n, P, 3), label (n,), normals (n, P, 3) if it has any."""

    points: NDArray[np.float32]
    label: NDArray[np.int64]
    normals: NDArray[np.float32] | None


def read_modelnet40_classes(root: Path) -> list[str]:
    """Return the class names in the order of their labels."""
    return _lines(root / "shape_names.txt")


def read_modelnet40(root: Path, split: str) -> Iterator[tuple[Path, Block]]:
    """Yield the files of a split in the list's order. Raises ValueError naming a bad one."""
    for line in _lines(root / f"{split}_files.txt"):
        path = root / Path(line).name  # the lists have the path of another machine
        yield path, read_block(path)


def scanobjectnn_file(root: Path, variant: str, split: str) -> Path:
    """The file of a split of a variant, `obj_bg`, `obj_only` or `pb_t50_rs`."""
    folder, name = SCANOBJECTNN_FILES[variant]
    return root / folder / f"{'training' if split == 'train' else 'test'}_{name}"


def read_block(path: Path) -> Block:
    """Read one file. Raises ValueError naming it if it is not as expected."""
    import h5py  # only for data sets in this format

    try:
        with h5py.File(path, "r") as file:
            points = np.asarray(file["data"][..., :3], np.float32)
            label = np.asarray(file["label"]).reshape(-1).astype(np.int64)
            normals = np.asarray(file["normal"], np.float32) if "normal" in file else None
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected HDF5 with `data` and `label`: {error}") from None
    if points.ndim != 3 or len(points) != len(label) or not np.isfinite(points).all():
        raise ValueError(
            f"{path}: expected data (n, P, 3) and label (n,), found {points.shape} and "
            f"{label.shape}, or a number is not finite"
        )
    return Block(points, label, normals)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the layout of modelnet40_ply_hdf5_2048")
    return path.read_text("utf-8-sig").split()
