"""Points through rigid motions and pinhole cameras."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def transform(points: Floats, matrix: Floats) -> Floats:
    """Apply a (4, 4) rigid motion, target from source, to (N, 3) points in metres."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def color_points(
    points: Floats,
    image: NDArray[np.uint8],
    color_intrinsics: Floats,
    depth_to_color: Floats,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Look up each point's colour in an image of another camera, nearest pixel.

    `points` is (N, 3) metres in the depth camera's frame, `image` (H, W, 3), `color_intrinsics`
    (3, 3) in pixels of that image, `depth_to_color` (4, 4). Returns colours (N, 3), black outside
    the image, and a mask (N,) of the points inside.
    """
    height, width = image.shape[:2]
    in_color = transform(points, depth_to_color)
    projected = in_color @ np.asarray(color_intrinsics)[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixel = projected[:, :2] / projected[:, 2:]
    pixel = np.copysign(np.floor(np.abs(pixel) + 0.5), pixel)  # half away from zero, as ScanNet
    inside = (in_color[:, 2] > 0) & (pixel >= 0).all(1) & (pixel < (width, height)).all(1)
    colors = np.zeros((len(points), 3), np.uint8)
    column, row = pixel[inside].astype(np.intp).T
    colors[inside] = image[row, column]
    return colors, inside
