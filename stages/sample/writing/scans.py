"""Scans a room: the mesh and the annotation files that ScanNet ships for a scene."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.geometry.meshes import Floats, Mesh, normals
from stages.sample.rendering.camera_path import walk
from stages.sample.rendering.render import visible
from stages.sample.rendering.shading import light, textured
from stages.sample.things.labels import LABELS
from stages.sample.things.pieces import FINISHES
from stages.sample.things.primitives import subdivided
from stages.sample.writing.recordings import COLOR, DEPTH, Stage
from stages.sources.ply import write_mesh_ply

JsonDict = dict[str, Any]

EDGE_M = 0.12  # longest edge of the mesh
NOISE_M = 0.003
NUM_EYES = 18
SEGMENT_CELL_M = 0.5
UNANNOTATED = frozenset({"cup", "towel rail", "mirror"})  # as in real scans, some things have none


@dataclass(frozen=True)
class Scan:
    """A scanned mesh in the scanner's frame, and what each vertex belongs to.

    vertices (V, 3) metres, colors (V, 3), faces (F, 3), owner (V,) index of the room's object,
    segment (V,) id of its piece of an over-segmentation.
    """

    vertices: NDArray[np.float32]
    colors: NDArray[np.uint8]
    faces: NDArray[np.int64]
    owner: NDArray[np.int64]
    segment: NDArray[np.int64]


def scan(stage: Stage, generator: np.random.Generator) -> Scan:
    """Mesh what a camera saw on a walk: holes where nothing looked, a little noise."""
    vertices, faces, owner, finish, base, normal = _dense_surfaces(stage)
    eyes = walk(stage.room, NUM_EYES, generator)[:, :3, 3]
    seen = visible(stage.world, vertices + 0.01 * normal, eyes)
    seen &= finish != FINISHES.index("glass")  # no depth, no surface
    shade = light(vertices, normal, stage.world.lamp, np.zeros(len(vertices), bool))
    colors = 255 * np.clip(textured(base, vertices, normal, finish) * shade[:, None], 0, 1)
    new_index = np.cumsum(seen) - 1
    kept = new_index[faces[seen[faces].all(axis=1)]]
    vertices = vertices + generator.normal(0, NOISE_M, vertices.shape)
    to_scanner = np.linalg.inv(stage.alignment)
    moved = vertices[seen] @ to_scanner[:3, :3].T + to_scanner[:3, 3]
    segment = _segments(vertices, normal, owner)[seen]
    return Scan(
        moved.astype(np.float32), colors[seen].astype(np.uint8), kept, owner[seen],
        generator.permutation(segment.max() + 1)[segment],
    )  # fmt: skip


def _dense_surfaces(stage: Stage) -> tuple[Any, ...]:
    """Vertices, faces, and each vertex's owner, finish, colour and normal, of all parts."""
    columns: list[list[Any]] = [[] for _ in range(6)]
    offset = 0
    for number, placed in enumerate(stage.room.objects):
        for part in placed.parts:
            mesh = subdivided(part.mesh, EDGE_M)
            count = len(mesh.vertices)
            facing = _vertex_normals(mesh)
            values = (
                mesh.vertices,
                mesh.faces + offset,
                np.full(count, number),
                np.full(count, FINISHES.index(part.finish), np.int8),
                np.tile(part.color, (count, 1)),
                facing,
            )
            for column, value in zip(columns, values, strict=True):
                column.append(value)
            offset += count
    return tuple(np.concatenate(column) for column in columns)


def _vertex_normals(mesh: Mesh) -> Floats:
    """Mean of the normals of each vertex's triangles, (V, 3)."""
    face = np.repeat(normals(mesh), 3, axis=0)
    corner, count = mesh.faces.ravel(), len(mesh.vertices)
    total = np.stack([np.bincount(corner, face[:, axis], count) for axis in range(3)], axis=1)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


def _segments(vertices: Floats, normal: Floats, owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut every object by position and by the way it faces: ids from 0, one owner each."""
    cell = np.floor(vertices / SEGMENT_CELL_M).astype(np.int64)
    facing = np.abs(normal).argmax(axis=1)
    keys = np.column_stack([owner, cell, facing])
    _, ids = np.unique(keys, axis=0, return_inverse=True)
    return ids.reshape(-1)


def write_scan(stage: Stage, scanned: Scan, folder: Path) -> None:
    """Write the official files of one scene; the folder's name is its id.

    Walls count as one object each, and what is in UNANNOTATED has no object at all.
    """
    scene_id = folder.name
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{scene_id}_vh_clean_2"
    objects = stage.room.objects
    raw = [placed.label for placed in objects]
    nyu40 = np.array([0 if label in UNANNOTATED else LABELS[label].nyu40 for label in raw])
    write_mesh_ply(stem.with_suffix(".ply"), scanned.vertices, scanned.colors, scanned.faces)
    labels = nyu40[scanned.owner]
    palette = np.random.default_rng(0).integers(40, 255, (41, 3)).astype(np.uint8)
    palette[0] = 0
    write_mesh_ply(
        stem.with_suffix(".labels.ply"), scanned.vertices, palette[labels], scanned.faces, labels
    )
    segs = {
        "params": {"segMinVerts": "20"},
        "sceneId": scene_id,
        "segIndices": scanned.segment.tolist(),
    }
    stem.with_suffix(".0.010000.segs.json").write_text(json.dumps(segs))
    groups: list[JsonDict] = []
    for number, label in enumerate(raw):
        segments = np.unique(scanned.segment[scanned.owner == number]).tolist()
        if segments and label not in UNANNOTATED:
            object_id = len(groups)
            groups.append(
                {"id": object_id, "objectId": object_id, "segments": segments, "label": label}
            )
    aggregation = {
        "sceneId": f"scannet.{scene_id}",
        "appId": "distill3d sample world (synthetic)",
        "segGroups": groups,
        "segmentsFile": f"scannet.{stem.name}.0.010000.segs.json",
    }
    (folder / f"{scene_id}.aggregation.json").write_text(json.dumps(aggregation))
    write_scene_text(stage, folder, num_frames=0)


def write_scene_text(stage: Stage, folder: Path, *, num_frames: int) -> None:
    """Write `<scene>.txt`: alignment, cameras, and the type of the room."""
    values = {
        "axisAlignment": " ".join(f"{value:.6f}" for value in stage.alignment.ravel()),
        "colorHeight": COLOR.size[1],
        "colorWidth": COLOR.size[0],
        "depthHeight": DEPTH.size[1],
        "depthWidth": DEPTH.size[0],
        "fx_color": COLOR.fx,
        "fx_depth": DEPTH.fx,
        "fy_color": COLOR.fy,
        "fy_depth": DEPTH.fy,
        "mx_color": COLOR.cx,
        "mx_depth": DEPTH.cx,
        "my_color": COLOR.cy,
        "my_depth": DEPTH.cy,
        "numColorFrames": num_frames,
        "numDepthFrames": num_frames,
        "numIMUFrames": 0,
        "sceneType": stage.room.kind.capitalize(),
    }
    text = "".join(f"{key} = {value}\n" for key, value in values.items())
    (folder / f"{folder.name}.txt").write_text(text)
