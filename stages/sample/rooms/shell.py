"""A room's walls, floor and ceiling, its door and its windows."""

import numpy as np

from stages.geometry.meshes import Mesh
from stages.sample.rooms.placing import Placed, Room, against_wall, shift
from stages.sample.things import fittings
from stages.sample.things.pieces import Color, Part, Piece, cloth
from stages.sample.things.primitives import box

Rng = np.random.Generator

_WALL_COLORS: tuple[Color, ...] = (
    (0.90, 0.88, 0.83), (0.84, 0.86, 0.88), (0.88, 0.82, 0.70), (0.74, 0.80, 0.76),
    (0.93, 0.93, 0.92), (0.70, 0.76, 0.84),
)  # fmt: skip
_FLOOR_COLORS: tuple[Color, ...] = (
    (0.60, 0.44, 0.28), (0.45, 0.32, 0.22), (0.72, 0.58, 0.40), (0.52, 0.50, 0.48),
)  # fmt: skip
WALL_THICKNESS_M = 0.12


def add_shell(room: Room, rng: Rng) -> None:
    """Add four walls, a floor and a ceiling, tiled where it is wet."""
    width, depth, height = room.size
    thick, tiled = WALL_THICKNESS_M, room.kind in ("bathroom", "kitchen")
    paint = _WALL_COLORS[rng.integers(len(_WALL_COLORS))]
    walls = "tiles" if room.kind == "bathroom" or (tiled and rng.random() < 0.3) else "plain"
    floors = ("tiles",) if tiled else ("planks", "planks", "carpet")
    finish = floors[rng.integers(len(floors))]
    color = cloth(rng) if finish == "carpet" else _FLOOR_COLORS[rng.integers(4)]
    middle = (width / 2, depth / 2)
    shell = [
        ("floor", box((width, depth, thick), (*middle, -thick)), color, finish),
        ("ceiling", box((width, depth, thick), (*middle, height)), (0.93, 0.93, 0.92), "plain"),
        ("wall", box((width, thick, height), (middle[0], -thick / 2, 0)), paint, walls),
        ("wall", box((width, thick, height), (middle[0], depth + thick / 2, 0)), paint, walls),
        ("wall", box((thick, depth, height), (-thick / 2, middle[1], 0)), paint, walls),
        ("wall", box((thick, depth, height), (width + thick / 2, middle[1], 0)), paint, walls),
    ]
    for label, mesh, base, texture in shell:
        room.add(Piece(label, (Part(label, mesh, base, texture),)), np.eye(4), solid=False)


def add_openings(room: Room, rng: Rng) -> None:
    """A door with room to open it, windows with or without curtains."""
    placed = against_wall(room, fittings.door(rng), rng, front_m=0.7)
    if placed:
        door, wall = placed
        low, high = door.piece.bounds
        free = Mesh(np.array([low - (0, 0.7, 0), high]), np.zeros((0, 3), np.int64))
        room.blocked.append(np.sort(free.transformed(door.pose).vertices, axis=0))
    else:
        wall = 0
    others = [other for other in range(4) if other != wall]
    count = int(rng.integers(0, 2)) if room.kind == "bathroom" else int(rng.integers(1, 3))
    for _ in range(count):
        piece, sill = fittings.window(rng), float(rng.uniform(0.85, 1.05))
        found = against_wall(room, piece, rng, height_m=sill, walls=others)
        if found and room.kind != "bathroom" and rng.random() < 0.7:
            _hang_curtain(room, found[0], sill, rng)


def _hang_curtain(room: Room, window: Placed, sill_m: float, rng: Rng) -> None:
    width, height = window.piece.size[0], window.piece.size[2]
    drop = sill_m - 0.1 if rng.random() < 0.5 else 0.2
    top = min(sill_m + height + 0.15, room.size[2] - 0.05)
    piece = fittings.curtain(width + 0.35, top - sill_m + drop, rng)
    placed = Placed(piece, window.pose @ shift((0, 0, -drop)))
    low, high = placed.bounds
    if (low > 0).all() and (high < room.size).all():  # not through the next wall
        room.objects.append(placed)
        room.blocked.append(placed.bounds)
