"""Where an extracted frame's depth jumps, so that it can be laid over the colour image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.figures.drawing import Tile

COLOR = (255, 230, 0)
# Of nearness, 1/depth, for along planes it changes evenly: 1 to 1.03 m, 2 to 2.13 m, 4 to 4.5 m.
JUMP_PER_M = 0.03
CELL = 1.5  # of the mean distance between points: few cells without one
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (-1, 1))


def front_edges(
    points: NDArray[np.floating[Any]],
    intrinsics: NDArray[np.floating[Any]],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """Say which points (N, 3) of a frame lie at a front edge: something much farther is beside them.

    Points are metres in the depth camera's frame, of which `intrinsics` (3, 3) and `size` (width,
    height) are in pixels. They are some of its pixels; beside means in the next cell of a grid that is
    about as fine as they are.
    """
    width, height = size
    cell = CELL * (width * height / max(1, len(points))) ** 0.5
    pixel = points @ np.asarray(intrinsics).T
    column, row = (pixel[:, :2] / pixel[:, 2:] / cell).astype(int).T
    # A border of empty cells, so that each has neighbours.
    column = column.clip(0, int(width / cell)) + 1
    row = row.clip(0, int(height / cell)) + 1
    shape = (int(height / cell) + 3, int(width / cell) + 3)
    nearness = 1 / points[:, 2]
    farthest, nearest = np.full(shape, np.inf), np.full(shape, -np.inf)
    np.minimum.at(farthest, (row, column), nearness)
    np.maximum.at(nearest, (row, column), nearness)
    nearest[np.isinf(nearest)] = np.inf  # nothing is known there, so nothing is an edge
    edges = np.zeros(len(points), bool)
    for down, right in DIRECTIONS:
        drop = nearness - farthest[row + down, column + right]
        # On a plane at a slant it rises on the other side by as much; twice, for points are where
        # they are in their cells.
        rise = nearest[row - down, column - right] - nearness
        edges |= drop - 2 * np.maximum(rise, 0) > JUMP_PER_M
    return edges


def draw_dots(tile: Tile, pixels: NDArray[np.floating[Any]]) -> Tile:
    """Mark pixels (N, 2) of a tile, x right and y down, in a copy of it."""
    drawn = tile.copy()
    height, width = tile.shape[:2]
    x, y = np.floor(pixels).astype(int).T
    for shift in (0, 1):
        for drop in (0, 1):
            inside = (x + shift >= 0) & (x + shift < width) & (y + drop >= 0) & (y + drop < height)
            drawn[y[inside] + drop, x[inside] + shift] = COLOR
    return drawn
