"""A contact sheet of ScanNet scans: each scene in its colours, its classes and its objects.

Of the meshes of a ScanNet folder, or of scans that were prepared, which have vertices and no faces.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.scans import read_scan, scenes_of
from cache.scene_group import Listing
from cache.scene_set import Classes, SceneSet
from stages.geometry.meshes import Mesh, normals, sample_surface
from stages.report.figures.drawing import (
    FROM_Z_UP,
    Tile,
    View,
    label,
    save_grid,
    splat,
    towards_eye,
)
from stages.report.figures.palette import UNLABELLED, class_colors, nyu40_colors
from stages.sources.ply import read_mesh_ply
from stages.sources.scannet_layout import SPLITS

VIEW = View("", 35, 40)
STEEP_VIEW = View("", 35, 62)  # without faces the walls before one's eyes cannot be left out
CLASSES = "classes (nyu40, the 20 of the benchmark)"
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


def prepared_scenes(stores: Iterable[Path]) -> dict[str, Listing]:
    """Prepared scans by their ids, with the set that each is of; of each set annotated ones first."""
    found: dict[str, Listing] = {}
    for store in stores:
        listing = Listing.read(store)
        annotated = [scene_id for split in SPLITS for scene_id in scenes_of(listing, split)]
        found |= dict.fromkeys(annotated, listing) | dict.fromkeys(
            (scene for scene in listing.members if scene not in annotated), listing
        )
    return found


def run_prepared(scenes: Mapping[str, Listing], *, out: Path) -> Path:
    """Draw prepared scans, a row each, to a PNG. Raises CardError."""
    tiles = [
        tile for scene_id, store in scenes.items() for tile in _prepared_tiles(store, scene_id)
    ]
    return save_grid(out, tiles, columns=3)


def _prepared_tiles(store: Listing, scene_id: str) -> list[Tile]:
    scan = read_scan(store.path, scene_id, store.members[scene_id])
    classes = SceneSet.of(store.attributes, where=str(store.path)).segmentation
    none = np.zeros(len(scan.vertices), np.uint16)
    instance = none if scan.instance is None else scan.instance
    shown = _below_ceiling(scan.vertices)
    without = "" if scan.semantic is not None else ": not annotated"
    columns = {
        f"{scene_id}: prepared, {scan.split}": scan.colors,
        f"the {len(classes)} classes{without}": _class_colors(
            none if scan.semantic is None else scan.semantic, classes
        ),
        f"objects{without}": _random_colors(int(instance.max(initial=0)))[instance],
    }
    turned = scan.vertices[shown] @ FROM_Z_UP.T
    return [
        label(splat(turned, colors[shown], STEEP_VIEW), title) for title, colors in columns.items()
    ]


def _class_colors(ids: NDArray[np.integer], classes: Classes) -> NDArray[np.uint8]:
    """A colour (V, 3) for each id; one grey for all that is not judged."""
    table = np.full((max(256, int(ids.max(initial=0)) + 1), 3), UNLABELLED, np.uint8)
    table[list(classes.ids)] = class_colors(classes.names)[:-1]
    return table[ids]


def _below_ceiling(points: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    low, high = np.percentile(points[:, 2], (0.5, 99.5))
    below: NDArray[np.bool_] = points[:, 2] < low + CUT_ABOVE * (high - low)
    return below


def _random_colors(count: int) -> NDArray[np.uint8]:
    """Colours (count + 1, 3); the first one is for what belongs to no object."""
    colors = np.random.default_rng(1).integers(60, 256, (count, 3)).astype(np.uint8)
    return np.concatenate([np.array([UNLABELLED], np.uint8), colors])


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
    # Neither the ceiling nor the walls before one's eyes, of which one would see the back.
    facing = towards_eye(normals(surface)[face] @ FROM_Z_UP.T, VIEW)
    shown = facing & _below_ceiling(points)
    turned = points[shown] @ FROM_Z_UP.T
    columns = {
        f"{folder.name}: mesh": mesh.colors,
        CLASSES: nyu40_colors(labels),
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
    palette = _random_colors(len(groups))
    colors = np.full((num_vertices, 3), UNLABELLED, np.uint8)
    for color, group in zip(palette[1:], groups, strict=True):
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
