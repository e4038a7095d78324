"""The object data sets: which layouts they come in, which shapes a folder holds, how one is read."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.data_sets import ObjectSet
from stages.sources import modelnet40, object_hdf5, shapenetpart
from stages.sources.off_mesh import read_off, sample_surface

OFF_MESHES = "OFF meshes"  # the layout of ModelNet's own archive: z is up, in other layouts y
# As published; ShapeNetPart's are of its official lists.
PUBLISHED_COUNTS = {
    "modelnet40": {"train": 9843, "test": 2468},
    "shapenetpart": {"train": 12137, "val": 1870, "test": 2874},
}


@dataclass(frozen=True)
class Shape:
    """What was read of one shape: points (P, 3), normals (P, 3) and parts (P,) if it has any."""

    points: NDArray[np.float32]
    normals: NDArray[np.float32] | None = None
    part: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Source:
    """Shapes of one split: of each its name, its label, and what `read` makes the shape from."""

    names: tuple[str, ...]
    labels: tuple[int, ...]
    items: Sequence[Any]
    read: Callable[[Any], Shape]


@dataclass(frozen=True)
class Found:
    """A data set in a folder: the layout it comes in, its classes, and each split's shapes."""

    layout: str
    classes: tuple[str, ...]
    splits: dict[str, Source]
    published: dict[str, int]
    parts: tuple[range, ...] = ()
    files: tuple[tuple[str, int], ...] = ()  # name and size, to tell inputs apart


def find_objects(
    data_set: ObjectSet, root: Path, *, variant: str, mesh_points: int, seed: int
) -> Found:
    """List the shapes below `root`. Raises ValueError if no known layout is there."""
    match data_set:
        case ObjectSet.MODELNET40:
            return _find_modelnet40(root, mesh_points, seed)
        case ObjectSet.SHAPENETPART:
            return _find_shapenetpart(root)
        case ObjectSet.SCANOBJECTNN:
            return _find_scanobjectnn(root, variant)


def _find_modelnet40(root: Path, mesh_points: int, seed: int) -> Found:
    published = PUBLISHED_COUNTS["modelnet40"]
    if (root / modelnet40.NAMES_FILE).is_file():
        classes = tuple(modelnet40.read_classes(root))
        splits = {split: _text_source(root, split, classes) for split in modelnet40.SPLITS}
        return Found(
            "modelnet40_normal_resampled", classes, splits, published,
            files=_sizes([modelnet40.shape_file(root, n) for s in splits.values() for n in s.names]),
        )  # fmt: skip
    if (root / "train_files.txt").is_file():
        classes = tuple(object_hdf5.read_modelnet40_classes(root))
        blocks = {s: list(object_hdf5.read_modelnet40(root, s)) for s in ("train", "test")}
        return Found(
            "modelnet40_ply_hdf5_2048", classes,
            {split: _block_source(items) for split, items in blocks.items()}, published,
            files=_sizes([path for items in blocks.values() for path, _ in items]),
        )  # fmt: skip
    classes = tuple(sorted(path.parent.name for path in root.glob("*/train") if path.is_dir()))
    if classes:
        files = {s: sorted(root.glob(f"*/{s}/*.off")) for s in ("train", "test")}
        sources = {
            split: Source(
                tuple(path.stem for path in paths),
                tuple(classes.index(path.parent.parent.name) for path in paths),
                paths,
                partial(_read_mesh, mesh_points, seed),
            )
            for split, paths in files.items()
        }
        return Found(
            OFF_MESHES, classes, sources, published,
            files=_sizes([path for paths in files.values() for path in paths]),
        )  # fmt: skip
    raise ValueError(
        f"{root}: no ModelNet40 here; known layouts are modelnet40_normal_resampled "
        f"({modelnet40.NAMES_FILE}), modelnet40_ply_hdf5_2048 (train_files.txt) and OFF meshes "
        "(<class>/train/*.off)"
    )


def _text_source(root: Path, split: str, classes: tuple[str, ...]) -> Source:
    names = tuple(modelnet40.read_split(root, split))
    unknown = sorted({name.rpartition("_")[0] for name in names} - set(classes))
    if unknown:
        raise ValueError(
            f"{modelnet40.split_file(root, split)}: classes {', '.join(unknown)} are not in "
            f"{modelnet40.NAMES_FILE}"
        )
    labels = tuple(classes.index(name.rpartition("_")[0]) for name in names)
    return Source(names, labels, names, partial(_read_text, root))


def _read_text(root: Path, name: str) -> Shape:
    rows = modelnet40.read_shape(root, name)
    return Shape(rows[:, :3], rows[:, 3:])


def _read_mesh(count: int, seed: int, path: Path) -> Shape:
    # By name, so that a shape's points do not depend on what else is there.
    generator = np.random.default_rng([seed, zlib.crc32(path.stem.encode())])
    try:
        points, normals = sample_surface(*read_off(path), count, generator)
    except ValueError as error:
        message = str(error)
        raise ValueError(message if str(path) in message else f"{path}: {message}") from None
    return Shape(points.astype(np.float32), normals.astype(np.float32))


def _block_source(items: Sequence[tuple[Path, object_hdf5.Block]]) -> Source:
    names, labels, shapes = [], [], []
    for path, block in items:
        for index, label in enumerate(block.label.tolist()):
            names.append(f"{path.stem}_{index:04d}")
            labels.append(label)
            normals = None if block.normals is None else block.normals[index]
            shapes.append(Shape(block.points[index], normals))
    return Source(tuple(names), tuple(labels), shapes, _as_it_is)


def _as_it_is(shape: Shape) -> Shape:
    return shape


def _find_shapenetpart(root: Path) -> Found:
    names = list(shapenetpart.CATEGORIES)
    splits, files = {}, []
    for split in shapenetpart.SPLITS:
        items = shapenetpart.read_split(root, split)
        splits[split] = Source(
            tuple(f"{category}/{token}" for category, token in items),
            tuple(names.index(category) for category, _ in items),
            items,
            partial(_read_parts, root),
        )
        files += [
            root / shapenetpart.CATEGORIES[category].synset / f"{token}.txt"
            for category, token in items
        ]
    return Found(
        "shapenetcore_partanno_segmentation_benchmark_v0_normal", tuple(names), splits,
        PUBLISHED_COUNTS["shapenetpart"],
        tuple(category.parts for category in shapenetpart.CATEGORIES.values()), _sizes(files),
    )  # fmt: skip


def _read_parts(root: Path, item: tuple[str, str]) -> Shape:
    rows, parts = shapenetpart.read_shape(root, *item)
    return Shape(rows[:, :3], rows[:, 3:], parts)


def _find_scanobjectnn(root: Path, variant: str) -> Found:
    base = root / "h5_files" if (root / "h5_files").is_dir() else root
    paths = {s: object_hdf5.scanobjectnn_file(base, variant, s) for s in ("train", "test")}
    splits = {
        split: _block_source([(path, object_hdf5.read_block(path))])
        for split, path in paths.items()
    }
    return Found(
        f"ScanObjectNN {variant}", object_hdf5.SCANOBJECTNN_CLASSES, splits,
        object_hdf5.SCANOBJECTNN_COUNTS[variant], files=_sizes(list(paths.values())),
    )  # fmt: skip


def _sizes(paths: Sequence[Path]) -> tuple[tuple[str, int], ...]:
    """Names and sizes; a file that is not there has size -1, and is reported when it is read."""
    return tuple((path.name, path.stat().st_size if path.is_file() else -1) for path in paths)
