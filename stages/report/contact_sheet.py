"""A contact sheet of one scene: per frame its image and its coloured points from two sides."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cache.frames import KEPT, frames_path, iter_images, read_frames
from cache.points import SCALE_M, list_scenes, read_points
from stages.precompute.backproject import color_points, transform

TILE = (480, 360)  # width, height in pixels
BACKGROUND = (38, 42, 51)
OUTSIDE_IMAGE = (255, 0, 255)
POINT_SIZE_PIXELS = 3
DISTANCE = 2.5  # of the eye, in radii of the cloud
FILL = 0.9  # of the tile


@dataclass(frozen=True)
class View:
    """An orbit around the cloud's centre: angles in degrees, 0 is the camera's own side."""

    name: str
    around: float
    above: float


VIEWS = (View("from its camera", 0, 0), View("from the left", 60, 20), View("from above", 0, 75))


def example_scenes(frames: Path, points: Path) -> list[str]:
    """Return the first complete scene of each split. Raises ValueError if there is none."""
    first: dict[str, str] = {}
    for scene_id in list_scenes(points):
        manifest = read_frames(frames_path(frames, scene_id), ["split"])
        if len(manifest):
            first.setdefault(manifest["split"][0].as_py(), scene_id)
    if not first:
        raise ValueError(f"{points}: no extracted scene there; run extract first")
    return list(first.values())


def run(scene_id: str, *, frames: Path, points: Path, out: Path, num_rows: int) -> Path:
    """Draw `num_rows` kept frames, evenly spaced over the scene, to a PNG."""
    manifest = frames_path(frames, scene_id)
    if not manifest.is_file():
        raise ValueError(f"{manifest}: no such scene; extract it first")
    kept = [row for row in read_frames(manifest).to_pylist() if row["status"] == KEPT]
    if not kept:
        raise ValueError(f"{manifest}: no frame was kept, nothing to draw")
    chosen = {kept[i]["row"] for i in np.linspace(0, len(kept) - 1, num_rows).astype(int)}
    clouds = read_points(points, scene_id)
    rows = [
        _frame_row(kept[row], image, clouds[row] * SCALE_M)
        for row, image in iter_images(manifest)
        if row in chosen
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), np.concatenate(rows)[..., ::-1]):
        raise OSError(f"{out}: cannot be written")
    return out


def _frame_row(row: dict[str, Any], image: bytes, points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return one row of tiles, (H, W, 3) RGB: the image, then each view of its points (N, 3)."""
    encoded = np.frombuffer(image, np.uint8)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"{row['scene_id']} frame {row['frame_index']}: its image does not decode")
    rgb = decoded[..., ::-1].astype(np.uint8)
    intrinsics = np.reshape(row["color_intrinsics"], (3, 3))
    depth_to_color = np.reshape(row["depth_to_color"], (4, 4))
    colors, seen = color_points(points, rgb, intrinsics, depth_to_color)
    colors[~seen] = OUTSIDE_IMAGE
    pose = "" if row["pose_valid"] else ", pose lost"
    median = float(np.median(points[:, 2]))
    title = (
        f"{row['scene_id']} #{row['frame_index']} {row['split']}{pose}, median depth {median:.2f} m"
    )
    tiles = [_label(cv2.resize(rgb, TILE, interpolation=cv2.INTER_AREA).astype(np.uint8), title)]
    tiles += [_label(splat(points, colors, view), view.name) for view in VIEWS]
    return np.concatenate(tiles, axis=1)


def splat(
    points: NDArray[np.floating[Any]], colors: NDArray[np.uint8], view: View
) -> NDArray[np.uint8]:
    """Draw (N, 3) points in metres, OpenCV axes, with (N, 3) colours: a tile (H, W, 3).

    Perspective, filling the tile, nearer points over farther ones.
    """
    size = np.array(TILE)
    width, height = TILE
    low, high = np.percentile(points, (1, 99), axis=0)
    radius = float(np.linalg.norm(high - low)) / 2 + 1e-6
    seen = transform(points - (low + high) / 2, _orbit(view))
    seen[:, 2] += DISTANCE * radius
    depth = seen[:, 2]
    flat = seen[:, :2] / np.maximum(depth, radius)[:, None]
    left_top, right_bottom = np.percentile(flat, (1, 99), axis=0)
    zoom = float((FILL * size / (right_bottom - left_top + 1e-6)).min())
    column, row = np.rint(size / 2 + zoom * (flat - (left_top + right_bottom) / 2)).astype(int).T
    tile = np.full((height, width, 3), BACKGROUND, np.uint8)
    inside = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    order = np.flatnonzero(inside)[np.argsort(-depth[inside])]  # far to near: the near one stays
    for dy in range(POINT_SIZE_PIXELS):
        for dx in range(POINT_SIZE_PIXELS):
            y = np.minimum(row[order] + dy, height - 1)
            x = np.minimum(column[order] + dx, width - 1)
            tile[y, x] = colors[order]
    _draw_scale(tile, pixels_per_metre=zoom / (DISTANCE * radius))
    return tile


def _draw_scale(tile: NDArray[np.uint8], *, pixels_per_metre: float) -> None:
    """Draw a bar of 1, 10, 100... metres (or 0.1, 0.01, ...), as long as it is at the cloud's centre.

    A wrong depth unit or intrinsic shows in it: a room is a few metres wide.
    """
    metres = 10.0 ** np.floor(np.log10(TILE[0] / 2 / pixels_per_metre))
    left, bottom = 10, tile.shape[0] - 12
    right = left + round(metres * pixels_per_metre)
    cv2.line(tile, (left, bottom), (right, bottom), (255, 255, 255), 2)
    cv2.putText(
        tile, f"{metres:g} m", (left, bottom - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255,) * 3, 1
    )


def _orbit(view: View) -> NDArray[np.float64]:
    """Return the (4, 4) rotation that brings the view's side to the front; y is down."""
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
    matrix = np.eye(4)
    matrix[:3, :3] = tilt @ turn
    return matrix


def _label(tile: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    drawn = np.ascontiguousarray(tile)
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (text_width, text_height), baseline = cv2.getTextSize(text, font, scale, 1)
    cv2.rectangle(drawn, (0, 0), (text_width + 12, text_height + baseline + 8), (0, 0, 0), -1)
    cv2.putText(drawn, text, (6, text_height + 4), font, scale, (255, 255, 255), 1)
    return drawn
