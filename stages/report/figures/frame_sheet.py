"""A contact sheet of one extracted scene: per frame its image and its coloured points from three sides.

Over the image lie the edges at which its depth jumps. If a camera's intrinsics or the transform between
the cameras are wrong, they do not lie on the edges of things.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.frames import KEPT, frames_path, iter_images, read_frames
from cache.points import SCALE_M, read_points
from cache.scene_group import list_scenes
from stages.geometry.projection import color_points, transform
from stages.report.figures.depth_edges import draw_dots, front_edges
from stages.report.figures.drawing import Tile, View, label, letterbox, save_grid, splat

OUTSIDE_IMAGE = (255, 0, 255)
VIEWS = (View("from its camera", 0, 0), View("from the left", 60, 20), View("from above", 0, 75))


def example_scenes(frames: Path, points: Path) -> list[str]:
    """Return the first complete scene of each split; empty if there is none."""
    first: dict[str, str] = {}
    for scene_id in list_scenes(points):
        manifest = read_frames(frames_path(frames, scene_id), ["split"])
        if len(manifest):
            first.setdefault(manifest["split"][0].as_py(), scene_id)
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
    tiles = [
        tile
        for row, image in iter_images(manifest)
        if row in chosen
        for tile in _frame_tiles(kept[row], image, clouds[row] * SCALE_M)
    ]
    return save_grid(out, tiles, columns=1 + len(VIEWS))


def _frame_tiles(row: dict[str, Any], image: bytes, points: NDArray[np.float64]) -> list[Tile]:
    """Return the image, then each view of its points (N, 3)."""
    try:
        rgb = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
    except (OSError, ValueError) as error:
        where = f"{row['scene_id']} frame {row['frame_index']}"
        raise ValueError(f"{where}: its image does not decode: {error}") from None
    intrinsics = np.reshape(row["color_intrinsics"], (3, 3))
    depth_to_color = np.reshape(row["depth_to_color"], (4, 4))
    colors, seen = color_points(points, rgb, intrinsics, depth_to_color)
    colors[~seen] = OUTSIDE_IMAGE
    pose = "" if row["pose_valid"] else ", pose lost"
    median = float(np.median(points[:, 2]))
    title = (
        f"{row['scene_id']} #{row['frame_index']} {row['split']}{pose}, median depth {median:.2f} m"
    )
    return [
        label(_with_depth_edges(row, rgb, points), title),
        *(label(splat(points, colors, view), view.name) for view in VIEWS),
    ]


def _with_depth_edges(
    row: dict[str, Any], rgb: NDArray[np.uint8], points: NDArray[np.float64]
) -> Tile:
    """The image (H, W, 3), with the front edges of the depth projected onto it."""
    tile, scale, shift = letterbox(rgb)
    depth_intrinsics = np.reshape(row["depth_intrinsics"], (3, 3))
    edges = points[front_edges(points, depth_intrinsics, row["depth_size"])]
    in_color = transform(edges, np.reshape(row["depth_to_color"], (4, 4)))
    in_color = in_color[in_color[:, 2] > 0] @ np.reshape(row["color_intrinsics"], (3, 3)).T
    return draw_dots(tile, in_color[:, :2] / in_color[:, 2:] * scale + shift)
