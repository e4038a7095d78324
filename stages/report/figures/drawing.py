"""Draws coloured points as tiles of a contact sheet: (H, W, 3) RGB arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Tile = NDArray[np.uint8]

TILE = (480, 360)  # width, height in pixels
BACKGROUND = (38, 42, 51)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
LABEL_PIXELS, SCALE_PIXELS = 15, 13  # heights of letters
DISTANCE = 2.5  # of the eye, in radii of the cloud
FILL = 0.9  # of the tile

# Rotations (3, 3) to OpenCV axes (x right, y down, z forward), for who looks along +y or +z.
FROM_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
FROM_Y_UP = np.array([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]])


@dataclass(frozen=True)
class View:
    """An orbit around the cloud's centre: angles in degrees, 0 is the camera's own side."""

    name: str
    around: float
    above: float


def splat(
    points: NDArray[np.floating[Any]],
    colors: NDArray[np.uint8],
    view: View,
    *,
    size: tuple[int, int] = TILE,
    point_pixels: int = 3,
    scale: bool = True,
) -> Tile:
    """Draw (N, 3) points in metres, OpenCV axes, with (N, 3) colours; `size` is (width, height).

    Perspective, filling the tile, nearer points over farther ones, with a bar of known length.
    """
    width, height = size
    low, high = np.percentile(points, (1, 99), axis=0)
    radius = float(np.linalg.norm(high - low)) / 2 + 1e-6
    seen = (points - (low + high) / 2) @ _orbit(view).T
    seen[:, 2] += DISTANCE * radius
    depth = seen[:, 2]
    flat = seen[:, :2] / np.maximum(depth, radius)[:, None]
    left_top, right_bottom = np.percentile(flat, (1, 99), axis=0)
    zoom = float((FILL * np.array(size) / (right_bottom - left_top + 1e-6)).min())
    middle = (left_top + right_bottom) / 2
    column, row = np.rint(np.array(size) / 2 + zoom * (flat - middle)).astype(int).T
    tile = np.full((height, width, 3), BACKGROUND, np.uint8)
    inside = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    order = np.flatnonzero(inside)[np.argsort(-depth[inside])]  # far to near: the near one stays
    for dy in range(point_pixels):
        for dx in range(point_pixels):
            y = np.minimum(row[order] + dy, height - 1)
            x = np.minimum(column[order] + dx, width - 1)
            tile[y, x] = colors[order]
    if scale:
        _draw_scale(tile, pixels_per_metre=zoom / (DISTANCE * radius))
    return tile


def towards_eye(normals: NDArray[np.floating[Any]], view: View) -> NDArray[np.bool_]:
    """Say which surfaces, by their normals (N, 3) in OpenCV axes, show their front in a view."""
    return (normals @ _orbit(view).T)[:, 2] < 0


def letterbox(
    image: NDArray[np.uint8], size: tuple[int, int] = TILE
) -> tuple[Tile, float, NDArray[np.float64]]:
    """Fit an image (H, W, 3) into a tile of `size` (width, height) without stretching it.

    Returns the tile, and the scale and shift (2,) that take the image's pixels, centres at integers,
    to the tile's.
    """
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2
    tile = np.full((size[1], size[0], 3), BACKGROUND, np.uint8)
    resized = np.asarray(Image.fromarray(image).resize(fitted, Image.Resampling.BOX))
    tile[top : top + fitted[1], left : left + fitted[0]] = resized
    return tile, scale, np.array([left, top]) + (scale - 1) / 2


def label(tile: Tile, text: str) -> Tile:
    """Write a line into the upper left corner of a copy of the tile."""
    image = Image.fromarray(tile)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(LABEL_PIXELS)
    _, _, right, bottom = draw.textbbox((6, 4), text, font)
    draw.rectangle((0, 0, right + 6, bottom + 4), fill=BLACK)
    draw.text((6, 4), text, WHITE, font)
    return np.array(image)


def save_grid(path: Path, tiles: Sequence[Tile], columns: int) -> Path:
    """Write tiles of one size as a PNG, row by row; the last row may be short."""
    blank = np.full_like(tiles[0], 0)
    padded = [*tiles, *[blank] * (-len(tiles) % columns)]
    rows = [np.concatenate(padded[n : n + columns], axis=1) for n in range(0, len(padded), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path, "png")
    return path


def _draw_scale(tile: Tile, *, pixels_per_metre: float) -> None:
    """Draw into a tile a bar of 1, 10, 100... metres (or 0.1, 0.01, ...), true at the cloud's centre.

    A wrong depth unit or intrinsic shows in it: a room is a few metres wide.
    """
    metres = 10.0 ** np.floor(np.log10(tile.shape[1] / 2 / pixels_per_metre))
    left, bottom = 10, tile.shape[0] - 12
    right = left + round(metres * pixels_per_metre)
    image = Image.fromarray(tile)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(SCALE_PIXELS)
    draw.line((left, bottom, right, bottom), WHITE, width=2)
    draw.text((left, bottom - 5), f"{metres:g} m", WHITE, font, anchor="ls")
    tile[:] = np.asarray(image)


def _orbit(view: View) -> NDArray[np.float64]:
    """Return the (3, 3) rotation that brings the view's side to the front; y is down."""
    around, above = np.radians((view.around, view.above))
    turn = np.array(
        [
            [np.cos(around), 0, np.sin(around)],
            [0, 1, 0],
            [-np.sin(around), 0, np.cos(around)],
        ]
    )
    tilt = np.array(
        [
            [1, 0, 0],
            [0, np.cos(above), -np.sin(above)],
            [0, np.sin(above), np.cos(above)],
        ]
    )
    return tilt @ turn
