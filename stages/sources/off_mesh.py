"""OFF meshes, as ModelNet ships them: `OFF`, counts, vertices, polygons.

Many of ModelNet40's files have their counts on the first line, right behind the word: `OFF3514 3546 0`.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAX_VERTICES = 50_000_000


def read_off(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices (V, 3) and triangles (F, 3); polygons are cut into fans.

    Raises ValueError naming the file if it is not a whole OFF mesh.
    """
    try:
        words = path.read_text().split()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text: {error}") from None
    if not words or not words[0].startswith("OFF"):
        raise ValueError(f"{path}: expected an OFF mesh, it begins with {' '.join(words)[:20]!r}")
    rest = words[0][3:]
    numbers = ([rest] if rest else []) + words[1:]
    try:
        num_vertices, num_faces = int(numbers[0]), int(numbers[1])
        if not (0 < num_vertices <= MAX_VERTICES and 0 < num_faces <= MAX_VERTICES):
            raise ValueError(f"{num_vertices} vertices and {num_faces} faces")
        end = 3 + 3 * num_vertices
        vertices = np.array(numbers[3:end], np.float64).reshape(num_vertices, 3)
        triangles = _triangles(np.array(numbers[end:], np.float64).astype(np.int64), num_faces)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: not a whole OFF mesh: {error}") from None
    if not np.isfinite(vertices).all() or triangles.min() < 0 or triangles.max() >= num_vertices:
        raise ValueError(f"{path}: a vertex is not finite, or a face names one that is not there")
    return vertices, triangles


def _triangles(numbers: NDArray[np.int64], num_faces: int) -> NDArray[np.int64]:
    if len(numbers) >= 4 * num_faces and (numbers[: 4 * num_faces : 4] == 3).all():
        return numbers[: 4 * num_faces].reshape(num_faces, 4)[:, 1:]
    triangles, at = [], 0
    for _ in range(num_faces):
        corners = numbers[at + 1 : at + 1 + int(numbers[at])]
        if len(corners) < int(numbers[at]):
            raise ValueError("it ends in the middle of a face")
        at += 1 + len(corners)
        triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
    return np.array(triangles, np.int64).reshape(-1, 3)


def sample_surface(
    vertices: NDArray[np.float64],
    triangles: NDArray[np.int64],
    count: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw points evenly from the surface, with the normals of their triangles: (count, 3) each.

    Raises ValueError if the mesh has no area.
    """
    corners = vertices[triangles]
    edges = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(*edges)
    area = np.linalg.norm(cross, axis=1)
    if not area.sum() > 0:
        raise ValueError("the mesh has no area")
    chosen = generator.choice(len(triangles), count, p=area / area.sum())
    u, v = generator.random((2, count, 1))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    points = corners[chosen, 0] + u * edges[0][chosen] + v * edges[1][chosen]
    return points, cross[chosen] / area[chosen, None]
