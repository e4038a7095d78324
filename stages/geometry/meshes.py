"""Triangle meshes and their surfaces: pure functions on arrays, metres."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3) in metres and triangles (F, 3) of indices, anticlockwise from outside."""

    vertices: Floats
    faces: NDArray[np.int64]

    def moved(self, by: Sequence[float]) -> Self:
        """Shift by a vector (3,)."""
        return type(self)(self.vertices + np.asarray(by, float), self.faces)

    def transformed(self, matrix: Floats) -> Self:
        """Apply a (4, 4) rigid motion, target from source."""
        return type(self)(self.vertices @ matrix[:3, :3].T + matrix[:3, 3], self.faces)

    @property
    def triangles(self) -> Floats:
        """Corners of all triangles, (F, 3, 3)."""
        return self.vertices[self.faces]


def normals(mesh: Mesh) -> Floats:
    """Unit normals of all triangles, (F, 3)."""
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    normal = np.cross(b - a, c - a)
    length: Floats = np.linalg.norm(normal, axis=1, keepdims=True)
    return normal / np.maximum(length, 1e-12)


def areas(mesh: Mesh) -> Floats:
    """Areas of all triangles in square metres, (F,)."""
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def sample_surface(
    mesh: Mesh, num_points: int, generator: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Draw points evenly by area: (N, 3), and the triangle (N,) each lies on."""
    area = areas(mesh)
    face = generator.choice(len(area), num_points, p=area / area.sum())
    u, v = generator.random((2, num_points))
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    a, b, c = np.moveaxis(mesh.triangles[face], 1, 0)
    return a + u[:, None] * (b - a) + v[:, None] * (c - a), face
