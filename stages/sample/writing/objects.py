"""Objects for classification and part segmentation, in ModelNet40's and ShapeNetPart's files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.geometry.meshes import Floats, Mesh, normals, sample_surface
from stages.sample.things import fittings, fixtures, seats, shapes, storage, tables
from stages.sample.things.pieces import Builder, Piece
from stages.settings import Settings
from stages.sources import modelnet40, shapenetpart

MODELNET_FOLDER = "modelnet40_normal_resampled"
SHAPENET_FOLDER = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
STRETCH = (0.85, 1.15)  # each axis of each object, so that no two have the same proportions
# The rooms' frame (z up, front -y) to the data sets' (y up, front -z), a rotation.
TO_Y_UP = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])

CLASSES: Mapping[str, tuple[Builder, ...]] = {
    "airplane": (shapes.airplane,),
    "bathtub": (fixtures.bathtub,),
    "bed": (seats.bed,),
    "bookshelf": (storage.bookshelf,),
    "car": (shapes.car,),
    "chair": (seats.chair, seats.chair, seats.office_chair),
    "cup": (fittings.cup,),
    "desk": (tables.desk,),
    "door": (fittings.door,),
    "dresser": (storage.cabinet,),
    "guitar": (shapes.guitar,),
    "lamp": (fixtures.floor_lamp, fixtures.table_lamp, shapes.ceiling_lamp),
    "laptop": (fittings.laptop,),
    "monitor": (fittings.monitor,),
    "night_stand": (storage.nightstand,),
    "plant": (fixtures.plant,),
    "sink": (fixtures.washbasin,),
    "sofa": (seats.sofa,),
    "stool": (seats.stool,),
    "table": (tables.table, tables.coffee_table),
    "toilet": (fixtures.toilet,),
    "tv_stand": (storage.tv_stand,),
    "vase": (fittings.vase,),
    "wardrobe": (storage.wardrobe,),
}
# Builders of each category, and its parts in the order of their numbers.
CATEGORIES: Mapping[str, tuple[tuple[Builder, ...], tuple[str, ...]]] = {
    "Airplane": ((shapes.airplane,), ("body", "wing", "tail", "engine")),
    "Bag": ((shapes.bag,), ("handle", "body")),
    "Car": ((shapes.car,), ("roof", "hood", "wheel", "body")),
    "Chair": ((seats.chair, seats.office_chair, seats.armchair), ("back", "seat", "leg", "arm")),
    "Guitar": ((shapes.guitar,), ("head", "neck", "body")),
    "Knife": ((shapes.knife,), ("blade", "handle")),
    "Lamp": (
        (fixtures.floor_lamp, fixtures.table_lamp, shapes.ceiling_lamp),
        ("base", "shade", "canopy", "pole"),
    ),
    "Laptop": ((fittings.laptop,), ("keyboard", "screen")),
    "Mug": ((fittings.cup,), ("handle", "body")),
    "Rocket": ((shapes.rocket,), ("body", "fin", "nose")),
    "Skateboard": ((shapes.skateboard,), ("wheel", "deck", "axle")),
    "Table": ((tables.table, tables.coffee_table, tables.desk), ("top", "leg", "drawer")),
}


class Classified(Settings):
    """Objects of each of ModelNet40's classes that the sample has."""

    train: int = Field(ge=1)
    test: int = Field(ge=1)


class Parted(Settings):
    """Objects of each of ShapeNetPart's categories that the sample has."""

    train: int = Field(ge=1)
    val: int = Field(ge=1)
    test: int = Field(ge=1)


@dataclass(frozen=True)
class Sampled:
    """Points on an object: xyz and unit normals (N, 3), and the number of each one's part (N,)."""

    points: Floats
    normals: Floats
    part: NDArray[np.int64]


def modelnet_ids(name: str, counts: Classified) -> dict[str, list[str]]:
    """Ids of one class: those of train come first, as in ModelNet40."""
    ids = [f"{name}_{number:04d}" for number in range(1, counts.train + counts.test + 1)]
    return {"train": ids[: counts.train], "test": ids[counts.train :]}


def shapenet_tokens(name: str, counts: Parted) -> dict[str, list[str]]:
    """Tokens of one category by split."""
    tokens = iter(
        f"sample_{name.lower()}_{n:04d}" for n in range(counts.train + counts.val + counts.test)
    )
    return {
        split: [next(tokens) for _ in range(count)] for split, count in counts.model_dump().items()
    }


def write_class(root: Path, name: str, counts: Classified, num_points: int, seed: int) -> None:
    """Write all objects of one ModelNet40 class."""
    for ids in modelnet_ids(name, counts).values():
        for shape_id in ids:
            rng = np.random.default_rng([seed, *shape_id.encode()])
            builders = CLASSES[name]
            piece = builders[rng.integers(len(builders))](rng)
            sampled = sample_points(piece, num_points, rng)
            modelnet40.write_shape(root, shape_id, sampled.points, sampled.normals)


def write_category(root: Path, name: str, counts: Parted, num_points: int, seed: int) -> None:
    """Write all objects of one ShapeNetPart category; their numbers of points differ."""
    builders, parts = CATEGORIES[name]
    first = shapenetpart.CATEGORIES[name].parts.start
    for tokens in shapenet_tokens(name, counts).values():
        for token in tokens:
            rng = np.random.default_rng([seed, *token.encode()])
            piece = builders[rng.integers(len(builders))](rng)
            count = int(num_points * rng.uniform(1.0, 1.4))
            sampled = sample_points(piece, count, rng)
            number = np.array([first + parts.index(part.name) for part in piece.parts])
            shapenetpart.write_shape(
                root, name, token, sampled.points, sampled.normals, number[sampled.part]
            )


def write_lists(out: Path, classified: Classified, parted: Parted) -> None:
    """Write both data sets' names and split lists."""
    ids: dict[str, list[str]] = {split: [] for split in modelnet40.SPLITS}
    for name in CLASSES:
        for split, more in modelnet_ids(name, classified).items():
            ids[split] += more
    modelnet40.write_lists(out / MODELNET_FOLDER, ids)
    shapes_: dict[str, list[tuple[str, str]]] = {split: [] for split in shapenetpart.SPLITS}
    for name in CATEGORIES:
        for split, tokens in shapenet_tokens(name, parted).items():
            shapes_[split] += [(name, token) for token in tokens]
    shapenetpart.write_lists(out / SHAPENET_FOLDER, shapes_)


def sample_points(piece: Piece, num_points: int, rng: np.random.Generator) -> Sampled:
    """Draw points evenly over a stretched piece, y up, in the unit sphere around their mean."""
    part_of_face = np.repeat(
        np.arange(len(piece.parts)), [len(part.mesh.faces) for part in piece.parts]
    )
    whole = piece.mesh
    stretched = Mesh(whole.vertices * rng.uniform(*STRETCH, 3), whole.faces)
    points, face = sample_surface(stretched, num_points, rng)
    points = points - points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1).max()
    facing = normals(stretched)[face]
    return Sampled(points @ TO_Y_UP.T, facing @ TO_Y_UP.T, part_of_face[face])
