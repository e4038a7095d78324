"""A contact sheet of ScanNet meshes: each scene in its colours, its classes and its objects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.drawing import FROM_Z_UP, Tile, View, label, save_grid, splat, towards_eye
from stages.report.palette import UNLABELLED, nyu40_colors
from stages.sample.meshes import Mesh, normals, sample_surface
from stages.sources.ply import read_mesh_ply

VIEW = View("", 35, 40)
POINTS = 120_000
CUT_ABOVE = 0.86  # of the height


def scan_folders(root: Path) -> list[Path]:
    """Folders of all annotated scans below a ScanNet root. Raises ValueError if there are none."""
    found = sorted(file.parent for file in root.glob("scans/*/*.aggregation.json"))
    if not found:
        raise ValueError(
            f"no annotated scan here: looked for {root}/scans/<scene>/*.aggregation.json"
        )
    return found


def run(folders: list[Path], *, out: Path) -> Path:
    """Draw each scan folder's mesh, a row each, to a PNG."""
    tiles = [tile for folder in folders for tile in _scan_tiles(folder)]
    return save_grid(out, tiles, columns=3)


def _scan_tiles(folder: Path) -> list[Tile]:
    stem = folder / f"{folder.name}_vh_clean_2"
    mesh = read_mesh_ply(stem.with_suffix(".ply"))
    labels = read_mesh_ply(stem.with_suffix(".labels.ply")).labels
    if labels is None or len(labels) != len(mesh.vertices):
        raise ValueError(f"{stem}.labels.ply: expected a label for each vertex of {stem}.ply")
    generator = np.random.default_rng(0)
    surface = Mesh(mesh.vertices.astype(np.float64), mesh.faces)
    points, face = sample_surface(surface, POINTS, generator)
    vertex = mesh.faces[face, generator.integers(3, size=len(face))]
    low, high = np.percentile(points[:, 2], (0.5, 99.5))
    # Neither the ceiling nor the walls before one's eyes, of which one would see the back.
    facing = towards_eye(normals(surface)[face] @ FROM_Z_UP.T, VIEW)
    shown = facing & (points[:, 2] < low + CUT_ABOVE * (high - low))
    turned = points[shown] @ FROM_Z_UP.T
    columns = {
        f"{folder.name}: mesh": mesh.colors,
        "classes (nyu40, the 20 of the benchmark)": nyu40_colors(labels),
        "objects": _object_colors(folder, len(mesh.vertices)),
    }
    return [
        label(splat(turned, colors[vertex[shown]], VIEW), title)
        for title, colors in columns.items()
    ]


def _object_colors(folder: Path, num_vertices: int) -> NDArray[np.uint8]:
    """A colour (V, 3) for each object of the aggregation."""
    segments = _json(folder / f"{folder.name}_vh_clean_2.0.010000.segs.json")["segIndices"]
    groups = _json(folder / f"{folder.name}.aggregation.json")["segGroups"]
    palette = np.random.default_rng(1).integers(60, 256, (len(groups), 3)).astype(np.uint8)
    colors = np.full((num_vertices, 3), UNLABELLED, np.uint8)
    for color, group in zip(palette, groups, strict=True):
        colors[np.isin(segments, group["segments"])] = color
    return colors


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    return content
