"""Placing pieces in a room: along walls, on the floor, beside and on top of each other.

A room's frame has its floor's corner at the origin, x and y along the walls, z up, metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stages.geometry.meshes import Floats, Mesh
from stages.sample.things.pieces import Part, Piece
from stages.sample.things.primitives import merged, rotation

Rng = np.random.Generator

GAP_M, TRIES = 0.02, 40


@dataclass(frozen=True)
class Placed:
    """One object of a room: its piece, and the (4, 4) motion to the room from the piece's frame."""

    piece: Piece
    pose: Floats

    @property
    def label(self) -> str:
        """ScanNet's raw category."""
        return self.piece.label

    @property
    def parts(self) -> tuple[Part, ...]:
        """The piece's parts in the room's frame."""
        return tuple(
            replace(part, mesh=part.mesh.transformed(self.pose)) for part in self.piece.parts
        )

    @property
    def bounds(self) -> Floats:
        """Lowest and highest corner in the room's frame, (2, 3)."""
        vertices = merged([part.mesh for part in self.parts]).vertices
        return np.stack([vertices.min(0), vertices.max(0)])


@dataclass
class Room:
    """A room while it is furnished: `size` is (3,) metres, `blocked` boxes (2, 3) to keep free."""

    kind: str
    size: Floats
    objects: list[Placed] = field(default_factory=list)
    blocked: list[Floats] = field(default_factory=list)

    def add(self, piece: Piece, pose: Floats, *, solid: bool = True) -> Placed:
        """Put a piece there, whatever is in the way."""
        placed = Placed(piece, pose)
        self.objects.append(placed)
        if solid:
            self.blocked.append(placed.bounds)
        return placed

    def is_free(self, bounds: Floats, margin_m: float = GAP_M) -> bool:
        """True if a box is inside the room and touches nothing solid."""
        if (bounds[0] < -1e-6).any() or (bounds[1] > self.size + 1e-6).any():
            return False
        low, high = bounds[0] - margin_m, bounds[1] + margin_m
        return not any((low < b[1]).all() and (high > b[0]).all() for b in self.blocked)

    def find(self, *labels: str) -> list[Placed]:
        """All objects with one of these labels."""
        return [placed for placed in self.objects if placed.label in labels]


def wall_pose(room: Room, wall: int, along_m: float, height_m: float, back_m: float) -> Floats:
    """The (4, 4) pose of a piece whose back, at y = `back_m` in its frame, touches a wall.

    Walls are numbered 0 to 3: y = 0, x = width, y = depth, x = 0; `along_m` runs from their left
    end as seen from inside.
    """
    width, depth, _ = room.size
    # Facing the wall from inside, its left end and the direction along it to the right.
    starts = ((width, 0.0), (width, depth), (0.0, depth), (0.0, 0.0))
    along = ((-1, 0), (0, -1), (1, 0), (0, 1))[wall]
    outward = np.array(((0, -1), (1, 0), (0, 1), (-1, 0))[wall])
    pose = rotation("z", (180, -90, 0, 90)[wall])
    at = np.array(starts[wall]) + along_m * np.array(along) - back_m * outward
    pose[:3, 3] = (*at, height_m)
    return pose


def _wall_length(room: Room, wall: int) -> float:
    return float(room.size[0] if wall % 2 == 0 else room.size[1])


def against_wall(
    room: Room,
    piece: Piece,
    rng: Rng,
    *,
    height_m: float = 0.0,
    front_m: float = 0.0,
    walls: Sequence[int] = (0, 1, 2, 3),
) -> tuple[Placed, int] | None:
    """Try places along the walls until one is free, with `front_m` free before it."""
    low, high = piece.bounds
    half = piece.size[0] / 2
    for _ in range(TRIES):
        wall = int(rng.choice(walls))
        length = _wall_length(room, wall)
        if length < 2 * half + 2 * GAP_M:
            continue
        along = rng.uniform(half + GAP_M, length - half - GAP_M)
        pose = wall_pose(room, wall, along, height_m, high[1] + GAP_M / 2)
        needed = Mesh(np.array([low - (0, front_m, 0), high]), np.zeros((0, 3), np.int64))
        corners = needed.transformed(pose).vertices
        if room.is_free(np.sort(corners, axis=0)):
            return room.add(piece, pose), wall
    return None


def on_floor(room: Room, piece: Piece, rng: Rng, *, margin_m: float = 0.1) -> Placed | None:
    """Try places and directions anywhere on the floor."""
    for _ in range(TRIES):
        pose = rotation("z", float(rng.uniform(0, 360)))
        pose[:2, 3] = rng.uniform((0.2, 0.2), room.size[:2] - 0.2)
        placed = Placed(piece, pose)
        if room.is_free(placed.bounds, margin_m):
            return room.add(piece, pose)
    return None


def on_floor_square(room: Room, piece: Piece, rng: Rng) -> Placed | None:
    """Stand a piece in the open, square to the walls, with room for chairs round it."""
    for _ in range(TRIES):
        pose = rotation("z", float(rng.choice((0, 90))))
        pose[:2, 3] = rng.uniform(room.size[:2] * 0.3, room.size[:2] * 0.7)
        if room.is_free(Placed(piece, pose).bounds, 0.45):
            return room.add(piece, pose)
    return None


def beside(room: Room, host: Placed, piece: Piece, at: Sequence[float], turn: float = 0.0,
            *, margin_m: float = 0.0) -> Placed | None:  # fmt: skip
    """Place a piece at a point and turn (degrees) of the host's frame, if that is free."""
    pose = host.pose @ shift(at) @ rotation("z", turn)
    placed = Placed(piece, pose)
    if room.is_free(placed.bounds, margin_m):
        return room.add(piece, pose)
    return None


def on_top(room: Room, host: Placed, piece: Piece, rng: Rng, *, back: bool = False) -> Placed:
    """Stand a small thing on the host, at its back edge if asked."""
    assert host.piece.top_m is not None
    # The piece's middle may be anywhere between these, or in the middle if it is too wide.
    first = host.piece.bounds[0] - piece.bounds[0] + 0.04
    last = np.maximum(host.piece.bounds[1] - piece.bounds[1] - 0.04, first)
    x, y = rng.uniform(first[:2], last[:2])
    if back:
        y = last[1]
    turn = float(rng.normal(0, 8))
    pose = host.pose @ shift((x, y, host.piece.top_m)) @ rotation("z", turn)
    placed = Placed(piece, pose)
    for other in room.objects:  # two things on one host must not stand in each other
        if other is not host and other.piece.size.max() < 1.3:
            first, second = placed.bounds, other.bounds
            if (first[0] < second[1]).all() and (first[1] > second[0] + 1e-3).all():
                return placed
    return room.add(piece, pose)


def shift(by: Sequence[float]) -> Floats:
    """A motion (4, 4) by a vector (3,)."""
    pose = np.eye(4)
    pose[:3, 3] = by
    return pose
