"""Contact sheets of objects: one of each ModelNet40 class, some of each ShapeNetPart category."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.report.drawing import FROM_Y_UP, View, label, save_grid, splat
from stages.report.palette import PARTS
from stages.sources import modelnet40, shapenetpart

VIEW = View("", 30, 22)
SIZE = (240, 200)
PER_CATEGORY = 3
LIGHT = np.array([0.4, 0.8, -0.45])


def run_modelnet40(root: Path, *, out: Path) -> Path:
    """Draw the first training object of each class, shaded by its normals, to a PNG."""
    first: dict[str, str] = {}
    for shape_id in modelnet40.read_split(root, "train"):
        first.setdefault(shape_id.rpartition("_")[0], shape_id)
    tiles = []
    for shape_id in first.values():
        shape = modelnet40.read_shape(root, shape_id)
        brightness = 0.45 + 0.55 * np.clip(shape[:, 3:] @ LIGHT, 0, 1)
        colors = (brightness[:, None] * (235, 225, 205)).astype(np.uint8)
        tiles.append(label(_draw(shape[:, :3], colors), shape_id))
    return save_grid(out, tiles, columns=6)


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
