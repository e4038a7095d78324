"""Furnished rooms: what stands in a bedroom, office, kitchen, bathroom or lounge, and where.

A room's frame has its floor's corner at the origin, x and y along the walls, z up, metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stages.sample import fittings, furniture
from stages.sample.meshes import Floats, Mesh, box, merged, rotation
from stages.sample.pieces import Builder, Color, Part, Piece, cloth

Rng = np.random.Generator

ROOM_TYPES = ("bedroom", "office", "kitchen", "bathroom", "lounge")
_SIZES = {  # least and most width and depth, metres
    "bedroom": ((3.0, 3.2), (4.4, 4.8)),
    "office": ((3.0, 3.2), (5.2, 5.0)),
    "kitchen": ((2.8, 3.2), (4.6, 4.8)),
    "bathroom": ((2.1, 2.6), (3.0, 3.6)),
    "lounge": ((3.8, 3.8), (5.8, 5.4)),
}
_WALL_COLORS: tuple[Color, ...] = (
    (0.90, 0.88, 0.83), (0.84, 0.86, 0.88), (0.88, 0.82, 0.70), (0.74, 0.80, 0.76),
    (0.93, 0.93, 0.92), (0.70, 0.76, 0.84),
)  # fmt: skip
_FLOOR_COLORS: tuple[Color, ...] = (
    (0.60, 0.44, 0.28), (0.45, 0.32, 0.22), (0.72, 0.58, 0.40), (0.52, 0.50, 0.48),
)  # fmt: skip
WALL_THICKNESS_M, GAP_M, TRIES = 0.12, 0.02, 40


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


def make_room(kind: str, generator: Rng) -> Room:
    """Build and furnish one room of a kind in ROOM_TYPES."""
    least, most = _SIZES[kind]
    width, depth = generator.uniform(least, most)
    room = Room(kind, np.array([width, depth, generator.uniform(2.45, 2.8)]))
    _add_shell(room, generator)
    _add_openings(room, generator)
    match kind:
        case "bedroom":
            _furnish_bedroom(room, generator)
        case "office":
            _furnish_office(room, generator)
        case "kitchen":
            _furnish_kitchen(room, generator)
        case "bathroom":
            _furnish_bathroom(room, generator)
        case "lounge":
            _furnish_lounge(room, generator)
    return room


def _add_shell(room: Room, rng: Rng) -> None:
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


def _against_wall(
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


def _on_floor(room: Room, piece: Piece, rng: Rng, *, margin_m: float = 0.1) -> Placed | None:
    """Try places and directions anywhere on the floor."""
    for _ in range(TRIES):
        pose = rotation("z", float(rng.uniform(0, 360)))
        pose[:2, 3] = rng.uniform((0.2, 0.2), room.size[:2] - 0.2)
        placed = Placed(piece, pose)
        if room.is_free(placed.bounds, margin_m):
            return room.add(piece, pose)
    return None


def _beside(room: Room, host: Placed, piece: Piece, at: Sequence[float], turn: float = 0.0,
            *, margin_m: float = 0.0) -> Placed | None:  # fmt: skip
    """Place a piece at a point and turn (degrees) of the host's frame, if that is free."""
    pose = host.pose @ _shift(at) @ rotation("z", turn)
    placed = Placed(piece, pose)
    if room.is_free(placed.bounds, margin_m):
        return room.add(piece, pose)
    return None


def _on_top(room: Room, host: Placed, piece: Piece, rng: Rng, *, back: bool = False) -> Placed:
    """Stand a small thing on the host, at its back edge if asked."""
    assert host.piece.top_m is not None
    # The piece's middle may be anywhere between these, or in the middle if it is too wide.
    first = host.piece.bounds[0] - piece.bounds[0] + 0.04
    last = np.maximum(host.piece.bounds[1] - piece.bounds[1] - 0.04, first)
    x, y = rng.uniform(first[:2], last[:2])
    if back:
        y = last[1]
    turn = float(rng.normal(0, 8))
    pose = host.pose @ _shift((x, y, host.piece.top_m)) @ rotation("z", turn)
    placed = Placed(piece, pose)
    for other in room.objects:  # two things on one host must not stand in each other
        if other is not host and other.piece.size.max() < 1.3:
            first, second = placed.bounds, other.bounds
            if (first[0] < second[1]).all() and (first[1] > second[0] + 1e-3).all():
                return placed
    return room.add(piece, pose)


def _shift(by: Sequence[float]) -> Floats:
    pose = np.eye(4)
    pose[:3, 3] = by
    return pose


def _add_openings(room: Room, rng: Rng) -> None:
    """A door with room to open it, windows with or without curtains."""
    placed = _against_wall(room, fittings.door(rng), rng, front_m=0.7)
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
        found = _against_wall(room, piece, rng, height_m=sill, walls=others)
        if found and room.kind != "bathroom" and rng.random() < 0.7:
            _hang_curtain(room, found[0], sill, rng)


def _hang_curtain(room: Room, window: Placed, sill_m: float, rng: Rng) -> None:
    width, height = window.piece.size[0], window.piece.size[2]
    drop = sill_m - 0.1 if rng.random() < 0.5 else 0.2
    top = min(sill_m + height + 0.15, room.size[2] - 0.05)
    piece = fittings.curtain(width + 0.35, top - sill_m + drop, rng)
    placed = Placed(piece, window.pose @ _shift((0, 0, -drop)))
    low, high = placed.bounds
    if (low > 0).all() and (high < room.size).all():  # not through the next wall
        room.objects.append(placed)
        room.blocked.append(placed.bounds)


def _hang(room: Room, builder: Builder, rng: Rng, *, low_m: float, high_m: float) -> None:
    _against_wall(room, builder(rng), rng, height_m=float(rng.uniform(low_m, high_m)))


def _maybe(rng: Rng, chance: float) -> bool:
    return bool(rng.random() < chance)


def _decorate(room: Room, rng: Rng, *, pictures: int) -> None:
    """Pictures on the walls, a bin, a plant, a bag, a box: what any room has."""
    for _ in range(int(rng.integers(0, pictures + 1))):
        _hang(room, fittings.picture, rng, low_m=1.25, high_m=1.6)
    if _maybe(rng, 0.65):
        _against_wall(room, furniture.trash_can(rng), rng)
    for builder, chance in (
        (furniture.plant, 0.3), (fittings.backpack, 0.25), (fittings.cardboard_box, 0.25),
    ):  # fmt: skip
        if _maybe(rng, chance):
            _on_floor(room, builder(rng), rng)


def _add_desk(room: Room, rng: Rng) -> None:
    found = _against_wall(room, furniture.desk(rng), rng, front_m=0.6)
    if not found:
        return
    desk = found[0]
    seat = furniture.office_chair(rng) if _maybe(rng, 0.7) else furniture.chair(rng)
    offset = -desk.piece.size[1] / 2 - float(rng.uniform(0.15, 0.35))
    # The chair faces the desk, whose own front faces the room: turned right round.
    pose = desk.pose @ _shift((float(rng.uniform(-0.15, 0.15)), offset, 0))
    room.add(seat, pose @ rotation("z", 180 + float(rng.normal(0, 25))))
    if _maybe(rng, 0.85):
        screen = fittings.laptop(rng) if _maybe(rng, 0.3) else fittings.monitor(rng)
        _on_top(room, desk, screen, rng, back=True)
    for builder, chance in (
        (furniture.table_lamp, 0.4), (fittings.books, 0.5), (fittings.cup, 0.4),
    ):  # fmt: skip
        if _maybe(rng, chance):
            _on_top(room, desk, builder(rng), rng)


def _furnish_bedroom(room: Room, rng: Rng) -> None:
    found = _against_wall(room, furniture.bed(rng), rng, front_m=0.4)
    if found:
        bed = found[0]
        for side in (-1, 1):
            stand = furniture.nightstand(rng) if _maybe(rng, 0.8) else furniture.end_table(rng)
            x = side * ((bed.piece.size[0] + stand.size[0]) / 2 + 0.06)
            y = bed.piece.bounds[1, 1] - stand.bounds[1, 1]
            if _maybe(rng, 0.7):
                placed = _beside(room, bed, stand, (x, y, 0))
                if placed and _maybe(rng, 0.6):
                    _on_top(room, placed, furniture.table_lamp(rng), rng)
    if _maybe(rng, 0.75):
        _against_wall(room, furniture.wardrobe(rng), rng, front_m=0.4)
    if _maybe(rng, 0.6):
        found = _against_wall(room, furniture.cabinet(rng), rng, front_m=0.3)
        if found and _maybe(rng, 0.5):
            _on_top(room, found[0], fittings.television(rng), rng)
    if _maybe(rng, 0.4):
        _add_desk(room, rng)
    for builder, chance in ((furniture.bookshelf, 0.4), (furniture.armchair, 0.3)):
        if _maybe(rng, chance):
            _against_wall(room, builder(rng), rng)
    _decorate(room, rng, pictures=3)


def _furnish_office(room: Room, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 4))):
        _add_desk(room, rng)
    for builder, chance in (
        (furniture.bookshelf, 0.85), (furniture.bookshelf, 0.4), (furniture.cabinet, 0.6),
        (furniture.sofa, 0.2),
    ):  # fmt: skip
        if _maybe(rng, chance):
            _against_wall(room, builder(rng), rng, front_m=0.2)
    if _maybe(rng, 0.7):
        _hang(room, fittings.whiteboard, rng, low_m=0.95, high_m=1.15)
    if _maybe(rng, 0.3):
        _add_dining(room, rng)
    _decorate(room, rng, pictures=2)


def _add_dining(room: Room, rng: Rng) -> None:
    placed = _on_floor_square(room, furniture.table(rng), rng)
    if placed is None:
        return
    width, depth, _ = placed.piece.size
    long = [
        (float(x), s) for s in (-1, 1) for x in ((-width / 4, width / 4) if width > 1.2 else (0,))
    ]
    style, looks = furniture.chair, int(rng.integers(1 << 30))
    for x, side in long:
        if _maybe(rng, 0.85):
            seat = style(np.random.default_rng(looks))  # chairs of one set look the same
            y = side * (depth / 2 + float(rng.uniform(0.02, 0.25)))
            pose = placed.pose @ _shift((x, y, 0)) @ rotation("z", 0 if side > 0 else 180)
            pose = pose @ rotation("z", float(rng.normal(0, 10)))
            if room.is_free(Placed(seat, pose).bounds, -0.35):
                room.add(seat, pose)
    for builder, chance in ((fittings.vase, 0.4), (fittings.cup, 0.5), (fittings.books, 0.3)):
        if _maybe(rng, chance):
            _on_top(room, placed, builder(rng), rng)


def _on_floor_square(room: Room, piece: Piece, rng: Rng) -> Placed | None:
    """Stand a piece in the open, square to the walls, with room for chairs round it."""
    for _ in range(TRIES):
        pose = rotation("z", float(rng.choice((0, 90))))
        pose[:2, 3] = rng.uniform(room.size[:2] * 0.3, room.size[:2] * 0.7)
        if room.is_free(Placed(piece, pose).bounds, 0.45):
            return room.add(piece, pose)
    return None


def _furnish_kitchen(room: Room, rng: Rng) -> None:
    wall = int(rng.integers(4))
    for width in (2.4, 2.0, 1.6, 1.3):
        piece = furniture.counter_of_width(width, rng)
        found = _against_wall(room, piece, rng, front_m=0.5, walls=(wall, *range(4)))
        if found:
            _equip_counter(room, found[0], rng)
            break
    _against_wall(room, furniture.refrigerator(rng), rng, front_m=0.5)
    if _maybe(rng, 0.8):
        _add_dining(room, rng)
    for builder, chance in ((furniture.cabinet, 0.3), (furniture.stool, 0.3)):
        if _maybe(rng, chance):
            _against_wall(room, builder(rng), rng)
    _decorate(room, rng, pictures=2)


def _equip_counter(room: Room, counter: Placed, rng: Rng) -> None:
    """Cabinets below, a sink in it, cabinets above, and something on it."""
    width = float(counter.piece.size[0])
    room.add(furniture.kitchen_cabinets(width, rng), counter.pose)
    x = float(rng.uniform(-1, 1)) * (width / 2 - 0.35)
    assert counter.piece.top_m is not None
    room.add(fittings.sink(rng), counter.pose @ _shift((x, -0.02, counter.piece.top_m + 0.012)))
    high = fittings.wall_cabinets(width, rng)
    pose = counter.pose @ _shift((0, float(counter.piece.bounds[1, 1]), 1.45))
    if room.is_free(Placed(high, pose).bounds, 0) and _maybe(rng, 0.8):
        room.add(high, pose)
    free = -np.sign(x) if x else 1.0
    for builder, chance in ((fittings.microwave, 0.6), (fittings.cup, 0.4)):
        if _maybe(rng, chance):
            piece = builder(rng)
            at = float(free) * rng.uniform(0.3, 0.8) * (width / 2 - piece.size[0] / 2)
            if abs(at - x) > 0.35 + piece.size[0] / 2:
                room.add(piece, counter.pose @ _shift((at, 0.05, counter.piece.top_m)))


def _furnish_bathroom(room: Room, rng: Rng) -> None:
    found = _against_wall(room, furniture.bathtub(rng), rng) if _maybe(rng, 0.85) else None
    if found and _maybe(rng, 0.8):
        tub = found[0]
        curtain = fittings.shower_curtain(float(tub.piece.size[0]), rng)
        room.add(curtain, tub.pose @ _shift((0, tub.piece.bounds[0, 1] - 0.03, 0)))
    _against_wall(room, furniture.toilet(rng), rng, front_m=0.4)
    found = _against_wall(room, furniture.washbasin(rng), rng, front_m=0.4)
    if found and _maybe(rng, 0.8):
        basin, _ = found
        mirror = fittings.mirror(rng)
        back = basin.piece.bounds[1, 1] + GAP_M / 2
        pose = basin.pose @ _shift((0, float(back), 1.15))
        if room.is_free(Placed(mirror, pose).bounds, -0.02):
            room.add(mirror, pose)
    if _maybe(rng, 0.8):
        _hang(room, fittings.towel, rng, low_m=0.8, high_m=1.0)
    if _maybe(rng, 0.4):
        _against_wall(room, furniture.cabinet(rng), rng)
    _against_wall(room, furniture.trash_can(rng), rng)


def _furnish_lounge(room: Room, rng: Rng) -> None:
    found = _against_wall(room, furniture.sofa(rng), rng, front_m=0.9)
    if found:
        couch = found[0]
        low = furniture.coffee_table(rng)
        gap = -couch.piece.size[1] / 2 - low.size[1] / 2 - float(rng.uniform(0.3, 0.5))
        table = _beside(room, couch, low, (0, gap, 0))
        for builder, chance in ((fittings.books, 0.6), (fittings.vase, 0.4), (fittings.cup, 0.4)):
            if table and _maybe(rng, chance):
                _on_top(room, table, builder(rng), rng)
    stand = _against_wall(room, furniture.tv_stand(rng), rng, front_m=0.4)
    if stand:
        _on_top(room, stand[0], fittings.television(rng), rng, back=True)
    for builder, chance in (
        (furniture.bookshelf, 0.7), (furniture.armchair, 0.6), (furniture.armchair, 0.3),
        (furniture.cabinet, 0.4), (furniture.floor_lamp, 0.6), (furniture.sofa, 0.25),
    ):  # fmt: skip
        if _maybe(rng, chance):
            _against_wall(room, builder(rng), rng, front_m=0.1)
    if _maybe(rng, 0.5):
        side = _against_wall(room, furniture.end_table(rng), rng)
        if side and _maybe(rng, 0.7):
            _on_top(room, side[0], furniture.table_lamp(rng), rng)
    if _maybe(rng, 0.3):
        _add_dining(room, rng)
    _decorate(room, rng, pictures=4)
