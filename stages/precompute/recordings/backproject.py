"""Depth images to points in the depth camera's frame, and the colours that belong to them.

Geometry after ScanNet's `SensorData::saveToPointCloud`: `z = depth / shift`,
`x = (u - cx) z / fx`, `y = (v - cy) z / fy`, pixel centres at integers. OpenCV axes: x right, y
down, z forward; metres.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.geometry.projection import Floats
from stages.sources.open3d_library import load_open3d

# A value that some sensors write for "no measurement".
NO_MEASUREMENT = 65_535


def depth_limit(
    intrinsics: Floats,
    size: tuple[int, int],
    *,
    depth_shift: float,
    max_depth_m: float,
    max_coordinate_m: float,
) -> NDArray[np.uint16]:
    """Return the largest raw depth (H, W) that each pixel may have.

    `intrinsics` is (3, 3) in pixels, `size` (width, height). At the limit z is at most
    `max_depth_m` and no coordinate's magnitude is above `max_coordinate_m`; 65535 is always above.
    """
    width, height = size
    slope_x = np.abs(np.arange(width) - intrinsics[0, 2]) / intrinsics[0, 0]
    slope_y = np.abs(np.arange(height) - intrinsics[1, 2]) / intrinsics[1, 1]
    slope = np.maximum(1.0, np.maximum(slope_x[None, :], slope_y[:, None]))
    limit_m = np.minimum(max_depth_m, max_coordinate_m / slope)
    limit: NDArray[np.float64] = np.minimum(np.floor(limit_m * depth_shift), NO_MEASUREMENT - 1)
    return limit.astype(np.uint16)


def draw_pixels(
    usable: NDArray[np.bool_], num_points: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw `num_points` of the usable pixels of an (H, W) mask without replacement, as a mask.

    Returns all of them if there are no more than `num_points`.
    """
    num_usable = int(np.count_nonzero(usable))
    if num_usable <= num_points:
        return usable
    # Drawing what to leave out is quicker where most are taken.
    leave_out = num_points > num_usable // 2
    chosen = _draw_distinct(num_usable, num_usable - num_points if leave_out else num_points,
                            generator)  # fmt: skip
    drawn = np.zeros_like(usable)
    drawn[usable] = ~chosen if leave_out else chosen
    return drawn


def _draw_distinct(num: int, wanted: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Mark `wanted` of `num` at random, every subset being equally likely.

    Draws with replacement until enough are marked: ten times quicker than `Generator.choice` for
    small shares, of which it must be at most a half.
    """
    marked, count = np.zeros(num, bool), 0
    while count < wanted:
        marked[generator.integers(0, num, wanted - count)] = True
        count = int(np.count_nonzero(marked))
    return marked


def repeat_to(
    points: NDArray[np.floating[Any]], num_points: int, generator: np.random.Generator
) -> NDArray[np.floating[Any]]:
    """Fill (N, 3) up to (num_points, 3): every point first, then repeats drawn evenly."""
    missing = num_points - len(points)
    whole, rest = divmod(missing, len(points))
    drawn = np.sort(generator.choice(len(points), rest, replace=False))
    return np.concatenate([points] * (1 + whole) + [points[drawn]])


def back_project(
    depth: NDArray[np.uint16], intrinsics: Floats, *, depth_shift: float
) -> NDArray[np.float64]:
    """Return one point for each pixel of (H, W) raw depth above 0, in row-major order, by Open3D.

    `intrinsics` is (3, 3) in pixels. The result is (N, 3) metres in the camera frame. Open3D's own
    truncation, at 3 m or 1 km by default, is off.
    """
    open3d = load_open3d()
    height, width = depth.shape
    camera = open3d.camera.PinholeCameraIntrinsic(
        width, height, intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    )
    cloud = open3d.geometry.PointCloud.create_from_depth_image(
        open3d.geometry.Image(np.ascontiguousarray(depth)),
        camera,
        depth_scale=depth_shift,
        depth_trunc=float("inf"),
    )
    return np.asarray(cloud.points)
