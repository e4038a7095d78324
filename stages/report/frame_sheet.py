"""A contact sheet of one extracted scene: per frame its image and its coloured points from two sides."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cache.frames import KEPT, frames_path, iter_images, read_frames
from cache.points import SCALE_M, read_points
from cache.scene_group import list_scenes
from stages.precompute.backproject import color_points
from stages.report.drawing import TILE, Tile, View, label, save_grid, splat

OUTSIDE_IMAGE = (255, 0, 255)
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
    tiles = [
        tile
        for row, image in iter_images(manifest)
        if row in chosen
        for tile in _frame_tiles(kept[row], image, clouds[row] * SCALE_M)
    ]
    return save_grid(out, tiles, columns=1 + len(VIEWS))


def _frame_tiles(row: dict[str, Any], image: bytes, points: NDArray[np.float64]) -> list[Tile]:
    """Return the image, then each view of its points (N, 3)."""
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
    picture = cv2.resize(rgb, TILE, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return [
        label(picture, title),
        *(label(splat(points, colors, view), view.name) for view in VIEWS),
    ]
