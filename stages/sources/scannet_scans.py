"""Annotated ScanNet scans: mesh, labels and objects from the official files of a scene.

- `<scene>_vh_clean_2.ply`: the mesh; `<scene>.txt`: `axisAlignment`, 16 numbers, row-major;
- `<scene>_vh_clean_2.0.010000.segs.json`: `segIndices`, a segment of each vertex;
- `<scene>.aggregation.json`: `segGroups`, each an object with a `label` and its segments;
- `scannetv2-labels.combined.tsv`: `raw_category` to `nyu40id`.

Read as VoteNet's scannet/load_scannet_data.py (@ 2f6d6d3) does: instance = objectId + 1, boxes are the
extents of an object's aligned vertices.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.sources.folder_kinds import SCAN_FOLDERS
from stages.sources.ply import read_mesh_ply

LABEL_FILE = "scannetv2-labels.combined.tsv"
LABEL_FOLDERS = (".", "Tasks/Benchmark", "meta_data", "scans")
MESH = "_vh_clean_2.ply"
NO_LABEL = 0
# VoteNet's files of a scene; all vertices, or the published 50,000 of them.
_VOTENET = ("vert", "sem_label", "ins_label")


@dataclass(frozen=True)
class AnnotatedScan:
    """One scan, aligned to its axes, z up, metres.

    vertices (V, 3); colors (V, 3); semantic (V,) nyu40 ids and instance (V,), 0 where nothing was
    annotated; boxes (I, 7) are centre, size and nyu40 id of instance 1, 2, ..., a row of zeros where
    an object has no vertex. All three are None if the scan has no annotation.
    """

    vertices: NDArray[np.float32]
    colors: NDArray[np.uint8]
    semantic: NDArray[np.uint8] | None
    instance: NDArray[np.uint16] | None
    boxes: NDArray[np.float64] | None
    alignment: NDArray[np.float64]
    unknown_labels: tuple[str, ...] = ()


def find_label_file(root: Path) -> Path:
    """Where the label table lies below a ScanNet root. Raises ValueError if it is not there."""
    for folder in LABEL_FOLDERS:
        if (root / folder / LABEL_FILE).is_file():
            return root / folder / LABEL_FILE
    looked = ", ".join(str(root / folder) for folder in LABEL_FOLDERS)
    raise ValueError(f"no {LABEL_FILE}, which comes with ScanNet's download: looked in {looked}")


def read_label_table(path: Path) -> dict[str, int]:
    """Return each raw category's nyu40 id. Raises ValueError naming the file."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            return {row["raw_category"]: int(row["nyu40id"]) for row in rows}
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise ValueError(f"{path}: expected columns raw_category and nyu40id: {error!r}") from None


def find_scan_folder(root: Path, scene_id: str) -> Path | None:
    """The folder of a scene's mesh below a ScanNet root, None if it is not there."""
    folders = (root / name / scene_id for name in SCAN_FOLDERS)
    return next((f for f in folders if (f / f"{scene_id}{MESH}").is_file()), None)


def read_scan(folder: Path, labels: Mapping[str, int]) -> AnnotatedScan:
    """Read one scene; one of the test split has no annotation. Raises ValueError naming a bad file."""
    scene_id = folder.name
    mesh = read_mesh_ply(folder / f"{scene_id}{MESH}")
    text = folder / f"{scene_id}.txt"
    alignment = read_alignment(text) if text.is_file() else np.eye(4)
    vertices = align(mesh.vertices, alignment)
    aggregation = folder / f"{scene_id}.aggregation.json"
    if not aggregation.is_file():
        return AnnotatedScan(vertices, mesh.colors, None, None, None, alignment)
    groups = _groups(aggregation)
    segments = _segments(folder / f"{scene_id}_vh_clean_2.0.010000.segs.json", len(vertices))
    semantic, unknown = _semantic(groups, segments, labels)
    instance = _instance(groups, segments)
    boxes = boxes_of(vertices, semantic, instance, max((g[0] + 1 for g in groups), default=0))
    return AnnotatedScan(vertices, mesh.colors, semantic, instance, boxes, alignment, unknown)


def read_alignment(path: Path) -> NDArray[np.float64]:
    """The matrix (4, 4) of a scene's text file, the identity if it has none."""
    for line in path.read_text(errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "axisAlignment":
            numbers = value.split()
            try:
                matrix = np.array(numbers, np.float64).reshape(4, 4)
            except ValueError:
                raise ValueError(
                    f"{path}: axisAlignment has {len(numbers)} numbers, not 16"
                ) from None
            if not np.isfinite(matrix).all():
                raise ValueError(f"{path}: axisAlignment is not finite")
            return matrix
    return np.eye(4)


def align(vertices: NDArray[np.float32], alignment: NDArray[np.float64]) -> NDArray[np.float32]:
    """Bring vertices (V, 3) into the aligned frame, computed in float64."""
    turned = vertices.astype(np.float64) @ alignment[:3, :3].T + alignment[:3, 3]
    return turned.astype(np.float32)


def boxes_of(
    vertices: NDArray[np.float32],
    semantic: NDArray[np.uint8],
    instance: NDArray[np.uint16],
    count: int,
) -> NDArray[np.float64]:
    """Centre, size and nyu40 id (I, 7) of each instance's extents; zeros where it has no vertex."""
    boxes = np.zeros((count, 7))
    for number in range(1, count + 1):
        own = instance == number
        if own.any():
            low, high = vertices[own].min(axis=0), vertices[own].max(axis=0)
            boxes[number - 1] = [*((low + high) / 2), *(high - low), semantic[own][0]]
    return boxes


def read_votenet(folder: Path, scene_id: str) -> AnnotatedScan:
    """Read a scene as VoteNet's export wrote it, `<scene>_vert.npy` and so on.

    Files of all vertices (`_vert_all.npy`) are taken before those of 50,000. Raises ValueError.
    """
    whole = (folder / f"{scene_id}_vert_all.npy").is_file()
    arrays = []
    for name in _VOTENET:
        path = folder / f"{scene_id}_{name}{'_all' if whole else ''}.npy"
        try:
            arrays.append(np.load(path, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: not one of VoteNet's arrays: {error}") from None
    points, semantic, instance = arrays
    if points.ndim != 2 or points.shape[1] < 6 or not len(points) == len(semantic) == len(instance):
        raise ValueError(
            f"{folder}/{scene_id}: expected (V, 6) vertices and two labels each, found "
            f"{points.shape}, {semantic.shape}, {instance.shape}"
        )
    vertices = points[:, :3].astype(np.float32)
    labels, objects = semantic.astype(np.uint8), instance.astype(np.uint16)
    boxes = boxes_of(vertices, labels, objects, int(objects.max(initial=0)))
    colors = points[:, 3:6].astype(np.uint8)
    return AnnotatedScan(vertices, colors, labels, objects, boxes, np.eye(4))


def _groups(path: Path) -> list[tuple[int, str, list[int]]]:
    """(objectId, label, segments) of each object."""
    try:
        groups = json.loads(path.read_text())["segGroups"]
        found = [
            (int(g["objectId"]), str(g["label"]), list(map(int, g["segments"]))) for g in groups
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected segGroups with objectId, label, segments: {error!r}"
        ) from None
    ids = [group[0] for group in found]
    if len(set(ids)) != len(ids) or (ids and min(ids) < 0) or (ids and max(ids) >= 65535):
        raise ValueError(f"{path}: an objectId is there twice, or is not 0 to 65534")
    return found


def _segments(path: Path, num_vertices: int) -> NDArray[np.int64]:
    try:
        segments = np.array(json.loads(path.read_text())["segIndices"], np.int64)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: expected segIndices: {error!r}") from None
    if segments.shape != (num_vertices,):
        raise ValueError(f"{path}: {segments.shape} segments for {num_vertices} vertices")
    return segments


def _painted(segments: NDArray[np.int64], strokes: list[tuple[list[int], int]]) -> NDArray[Any]:
    """Give the vertices of listed segments a value; where they overlap, the later one's."""
    known, place = np.unique(segments, return_inverse=True)
    values = np.zeros(len(known), np.int64)
    for wanted, value in strokes:
        values[np.isin(known, wanted)] = value
    return values[place]


def _semantic(
    groups: list[tuple[int, str, list[int]]],
    segments: NDArray[np.int64],
    labels: Mapping[str, int],
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    by_label: dict[str, list[int]] = {}
    for _, label, own in groups:
        by_label.setdefault(label, []).extend(own)
    strokes = [(own, labels.get(label, NO_LABEL)) for label, own in by_label.items()]
    unknown = tuple(sorted(label for label in by_label if label not in labels))
    return _painted(segments, strokes).astype(np.uint8), unknown


def _instance(
    groups: list[tuple[int, str, list[int]]], segments: NDArray[np.int64]
) -> NDArray[np.uint16]:
    strokes = [(own, object_id + 1) for object_id, _, own in groups]
    return _painted(segments, strokes).astype(np.uint16)
