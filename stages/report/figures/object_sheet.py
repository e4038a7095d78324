"""Contact sheets of objects: one of each ModelNet40 class, some of each ShapeNetPart category."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.data_sets import ObjectSet
from stages.precompute.downstream.object_sets import OFF_MESHES, Shape, Source, find_objects
from stages.report.figures.drawing import FROM_Y_UP, FROM_Z_UP, View, label, save_grid, splat
from stages.report.figures.palette import PARTS
from stages.sources import shapenetpart

VIEW = View("", 30, 22)
SIZE = (240, 200)
PER_CATEGORY = 3
LIGHT = np.array([-0.4, -0.8, -0.45])  # in OpenCV axes: from above, from the left and the front
MESH_POINTS = 8192


def run_modelnet40(root: Path, *, out: Path) -> Path:
    """Draw the first training object of each class, shaded by its normals, to a PNG.

    In any layout that `prepare` knows. Raises ValueError if it is none of them, or if no object of a
    class can be read.
    """
    found = find_objects(ObjectSet.MODELNET40, root, variant="", mesh_points=MESH_POINTS, seed=0)
    source = found.splits["train"]
    if not source.names:
        raise ValueError(f"{root}: no training object in this {found.layout} layout")
    upright = FROM_Z_UP if found.layout == OFF_MESHES else FROM_Y_UP
    tiles = []
    for number in sorted(set(source.labels)):
        same = [place for place, other in enumerate(source.labels) if other == number]
        place, shape = _first_readable(source, same)
        points = shape.points @ upright.T
        colors = _shaded(None if shape.normals is None else shape.normals @ upright.T, len(points))
        tile = splat(points, colors, VIEW, size=SIZE, point_pixels=2, scale=False)
        tiles.append(label(tile, source.names[place]))
    return save_grid(out, tiles, columns=min(6, len(tiles)))


def _first_readable(source: Source, places: Sequence[int]) -> tuple[int, Shape]:
    problem = ""
    for place in places:
        try:
            return place, source.read(source.items[place])
        except (ValueError, OSError) as error:
            problem = problem or str(error)
    raise ValueError(problem)


def _shaded(normals: NDArray[np.floating[Any]] | None, count: int) -> NDArray[np.uint8]:
    """Colours (count, 3) of a surface by its normals, in OpenCV axes; even if it has none."""
    brightness = np.full(count, 0.8)
    if normals is not None:
        # A mesh's normals may point inwards.
        brightness = 0.45 + 0.55 * np.abs(normals @ LIGHT).clip(max=1)
    return (brightness[:, None] * (235, 225, 205)).astype(np.uint8)


def run_shapenetpart(root: Path, *, out: Path) -> Path:
    """Draw some training objects of each category, coloured by part, to a PNG."""
    tokens: dict[str, list[str]] = {}
    for category, token in shapenetpart.read_split(root, "train"):
        tokens.setdefault(category, []).append(token)
    tiles = []
    for category in sorted(tokens):
        for token in tokens[category][:PER_CATEGORY]:
            shape, parts = shapenetpart.read_shape(root, category, token)
            colors = np.array(PARTS, np.uint8)[
                parts - shapenetpart.CATEGORIES[category].parts.start
            ]
            tiles.append(label(_draw(shape[:, :3], colors), category))
    return save_grid(out, tiles, columns=2 * PER_CATEGORY)


def _draw(points: NDArray[np.float32], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return splat(points @ FROM_Y_UP.T, colors, VIEW, size=SIZE, point_pixels=2, scale=False)
