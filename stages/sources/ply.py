"""Binary PLY meshes, as ScanNet writes them: coloured vertices, optional labels, triangles."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VERTEX = [
    ("x", "<f4"), ("y", "<f4"), ("z", "<f4"),
    ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1"),
]  # fmt: skip
_PLY_TYPES = {"<f4": "float", "u1": "uchar", "<u2": "ushort"}


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
