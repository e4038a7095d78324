"""PLY meshes, as ScanNet ships them: coloured vertices, optional labels, triangles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VERTEX = [
    ("x", "<f4"), ("y", "<f4"), ("z", "<f4"),
    ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1"),
]  # fmt: skip
_PLY_TYPES = {"<f4": "float", "u1": "uchar", "<u2": "ushort"}


@dataclass(frozen=True)
class PlyMesh:
    """vertices (V, 3) metres, colors (V, 3), faces (F, 3), labels (V,) or None if it has none."""

    vertices: NDArray[np.float32]
    colors: NDArray[np.uint8]
    faces: NDArray[np.int64]
    labels: NDArray[np.int64] | None


def read_mesh_ply(path: Path) -> PlyMesh:
    """Read a mesh in any of PLY's encodings. Raises ValueError naming a file that is none."""
    import plyfile  # only to read; pictures of prepared scans are drawn without it

    try:
        data = plyfile.PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3}})
        vertex, faces = data["vertex"], data["face"]["vertex_indices"]
        colors = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1)
        mesh = PlyMesh(
            vertices=np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float32),
            colors=colors.astype(np.uint8),
            faces=(np.stack(faces) if faces.dtype == object else faces).astype(np.int64),
            labels=vertex["label"].astype(np.int64) if "label" in vertex.data.dtype.names else None,
        )
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (plyfile.PlyParseError, ValueError, KeyError, MemoryError) as error:
        raise ValueError(f"{path}: not a coloured triangle mesh in PLY: {error}") from None
    outside = (mesh.faces < 0) | (mesh.faces >= len(mesh.vertices))
    if outside.any() or not np.isfinite(mesh.vertices).all():
        raise ValueError(f"{path}: a triangle names no vertex, or a vertex is not finite")
    return mesh


def write_mesh_ply(
    path: Path,
    vertices: NDArray[np.floating[Any]],
    colors: NDArray[np.uint8],
    faces: NDArray[np.integer[Any]],
    labels: NDArray[np.integer[Any]] | None = None,
) -> None:
    """Write vertices (V, 3) in metres, colours (V, 3), triangles (F, 3), labels (V,) if any.

    With labels it is the layout of ScanNet's `_vh_clean_2.labels.ply` (a ushort `label` each).
    """
    fields = _VERTEX + ([("label", "<u2")] if labels is not None else [])
    table = np.empty(len(vertices), fields)
    for axis, name in enumerate("xyz"):
        table[name] = vertices[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        table[name] = colors[:, channel]
    table["alpha"] = 255
    if labels is not None:
        table["label"] = labels
    triangles = np.empty(len(faces), [("count", "u1"), ("vertices", "<i4", (3,))])
    triangles["count"], triangles["vertices"] = 3, faces
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(table)}",
        *(f"property {_PLY_TYPES[kind]} {name}" for name, kind in fields),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    header = ("\n".join(lines) + "\n").encode()
    path.write_bytes(header + table.tobytes() + triangles.tobytes())
