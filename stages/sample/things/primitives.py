"""Triangle meshes from a few primitives: pure functions on arrays. z is up, metres."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.geometry.meshes import Floats, Mesh

Vector = tuple[float, float, float]

_BOX_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2.0
# Four corners a side, so that each side has its own flat normal; seen from outside, anticlockwise.
_BOX_SIDES = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """Join meshes, in order."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + o for mesh, o in zip(meshes, offsets, strict=True)]),
    )


def box(size: Vector, at: Vector = (0, 0, 0), *, top: float = 1.0) -> Mesh:
    """A box of a size (x, y, z) whose bottom's middle is at `at`; `top` scales its upper side."""
    corners = _BOX_CORNERS * size + (0, 0, size[2] / 2)
    corners[1::2, :2] *= top
    vertices = corners[_BOX_SIDES].reshape(-1, 3)
    quads = np.arange(24).reshape(6, 4)
    return Mesh(vertices + at, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def cylinder(
    radius: float, height: float, at: Vector = (0, 0, 0), *, top: float = 1.0, sides: int = 12
) -> Mesh:
    """An upright cylinder or cone frustum; its bottom's middle is at `at`."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = radius * np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], axis=1)
    upper = ring * (top, top, 1) + (0, 0, height)
    vertices = np.concatenate([ring, upper, [(0, 0, 0), (0, 0, height)]])
    this, following = np.arange(sides), np.roll(np.arange(sides), -1)
    low, high = np.full(sides, 2 * sides), np.full(sides, 2 * sides + 1)
    faces = [
        (this, following, following + sides),
        (this, following + sides, this + sides),
        (following, this, low),
        (this + sides, following + sides, high),
    ]
    return Mesh(vertices + at, np.concatenate([np.stack(face, axis=1) for face in faces]))


def ellipsoid(radii: Vector, at: Vector = (0, 0, 0), *, sides: int = 12) -> Mesh:
    """An ellipsoid whose middle is at `at`."""
    rows = sides // 2 + 1
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, sides, endpoint=False), indexing="ij"
    )
    sphere = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), -np.cos(polar)], axis=-1
    )
    return Mesh(sphere.reshape(-1, 3) * radii + at, _grid_faces(rows, sides, closed=True))


def sheet(
    width: float, height: float, at: Vector = (0, 0, 0), *, folds: int = 0, depth: float = 0.0
) -> Mesh:
    """An upright sheet in the x-z plane, its bottom's middle at `at`, with cosine folds along x."""
    columns, rows = 1 + max(1, 8 * folds), 2
    x = np.linspace(-0.5, 0.5, columns)
    y = depth / 2 * np.cos(2 * np.pi * folds * x)
    row = np.stack([x * width, y, np.zeros(columns)], axis=1)
    vertices = np.concatenate([row, row + (0, 0, height)])
    front = _grid_faces(rows, columns, closed=False)
    return Mesh(vertices + at, np.concatenate([front, front[:, ::-1]]))


def tub(size: Vector, at: Vector = (0, 0, 0), *, wall: float, floor: float) -> Mesh:
    """An open box, such as a basin: walls and floor of the given thickness."""
    width, depth, height = size
    sides = [
        box((width, depth, floor)),
        *(box((wall, depth, height), (s * (width - wall) / 2, 0, 0)) for s in (-1, 1)),
        *(box((width, wall, height), (0, s * (depth - wall) / 2, 0)) for s in (-1, 1)),
    ]
    return merged(sides).moved(at)


def four_legs(width: float, depth: float, height: float, thick: float, *, round_: bool) -> Mesh:
    """Four legs of the given thickness at the corners of a width x depth rectangle."""
    x, y = (width - thick) / 2, (depth - thick) / 2
    corners = [(sx * x, sy * y, 0.0) for sx in (-1, 1) for sy in (-1, 1)]
    if round_:
        return merged([cylinder(thick / 2, height, at, sides=8) for at in corners])
    return merged([box((thick, thick, height), at) for at in corners])


def rotation(about: str, degrees: float) -> Floats:
    """A (4, 4) rotation about an axis `x`, `y` or `z`."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[about]
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def subdivided(mesh: Mesh, max_edge_m: float) -> Mesh:
    """Split triangles along their longest edges until none is longer; coincident vertices join."""
    pending, done = mesh.triangles, []
    while len(pending):
        edges = np.linalg.norm(pending - np.roll(pending, -1, axis=1), axis=2)
        long = edges.max(axis=1) > max_edge_m
        done.append(pending[~long])
        pending, longest = pending[long], edges[long].argmax(axis=1)
        order = (longest[:, None] + np.arange(3)) % 3
        a, b, c = np.moveaxis(np.take_along_axis(pending, order[..., None], axis=1), 1, 0)
        middle = (a + b) / 2
        pending = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
    corners = np.concatenate(done).reshape(-1, 3)
    cell = np.rint((corners - corners.min(0)) * 1e4).astype(np.int64)  # a tenth of a millimetre
    key = (cell[:, 0] << 42) | (cell[:, 1] << 21) | cell[:, 2]
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return Mesh(corners[first], which.reshape(-1, 3))


def _grid_faces(rows: int, columns: int, *, closed: bool) -> NDArray[np.int64]:
    """Triangles over a grid of vertices in row-major order, round in a ring if `closed`."""
    last = columns if closed else columns - 1
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(last), indexing="ij")
    low = (row * columns + column).ravel()
    right = (row * columns + (column + 1) % columns).ravel()
    lower = np.stack([low, right, right + columns], axis=1)
    upper = np.stack([low, right + columns, low + columns], axis=1)
    return np.concatenate([lower, upper])
