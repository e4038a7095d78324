"""Furnished rooms: what stands in a bedroom, office, kitchen, bathroom or lounge, and where."""

import numpy as np

from stages.sample.rooms.placing import (
    GAP_M,
    Placed,
    Room,
    against_wall,
    beside,
    on_floor,
    on_floor_square,
    on_top,
    shift,
)
from stages.sample.rooms.shell import add_openings, add_shell
from stages.sample.things import fittings, fixtures, seats, storage, tables
from stages.sample.things.pieces import Builder
from stages.sample.things.primitives import rotation

Rng = np.random.Generator

ROOM_TYPES = ("bedroom", "office", "kitchen", "bathroom", "lounge")
_SIZES = {  # least and most width and depth, metres
    "bedroom": ((3.0, 3.2), (4.4, 4.8)),
    "office": ((3.0, 3.2), (5.2, 5.0)),
    "kitchen": ((2.8, 3.2), (4.6, 4.8)),
    "bathroom": ((2.1, 2.6), (3.0, 3.6)),
    "lounge": ((3.8, 3.8), (5.8, 5.4)),
}


def make_room(kind: str, generator: Rng) -> Room:
    """Build and furnish one room of a kind in ROOM_TYPES."""
    least, most = _SIZES[kind]
    width, depth = generator.uniform(least, most)
    room = Room(kind, np.array([width, depth, generator.uniform(2.45, 2.8)]))
    add_shell(room, generator)
    add_openings(room, generator)
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


def _hang(room: Room, builder: Builder, rng: Rng, *, low_m: float, high_m: float) -> None:
    against_wall(room, builder(rng), rng, height_m=float(rng.uniform(low_m, high_m)))


def _maybe(rng: Rng, chance: float) -> bool:
    return bool(rng.random() < chance)


def _decorate(room: Room, rng: Rng, *, pictures: int) -> None:
    """Pictures on the walls, a bin, a plant, a bag, a box: what any room has."""
    for _ in range(int(rng.integers(0, pictures + 1))):
        _hang(room, fittings.picture, rng, low_m=1.25, high_m=1.6)
    if _maybe(rng, 0.65):
        against_wall(room, fixtures.trash_can(rng), rng)
    for builder, chance in (
        (fixtures.plant, 0.3), (fittings.backpack, 0.25), (fittings.cardboard_box, 0.25),
    ):  # fmt: skip
        if _maybe(rng, chance):
            on_floor(room, builder(rng), rng)


def _add_desk(room: Room, rng: Rng) -> None:
    found = against_wall(room, tables.desk(rng), rng, front_m=0.6)
    if not found:
        return
    desk = found[0]
    seat = seats.office_chair(rng) if _maybe(rng, 0.7) else seats.chair(rng)
    offset = -desk.piece.size[1] / 2 - float(rng.uniform(0.15, 0.35))
    # The chair faces the desk, whose own front faces the room: turned right round.
    pose = desk.pose @ shift((float(rng.uniform(-0.15, 0.15)), offset, 0))
    room.add(seat, pose @ rotation("z", 180 + float(rng.normal(0, 25))))
    if _maybe(rng, 0.85):
        screen = fittings.laptop(rng) if _maybe(rng, 0.3) else fittings.monitor(rng)
        on_top(room, desk, screen, rng, back=True)
    for builder, chance in (
        (fixtures.table_lamp, 0.4), (fittings.books, 0.5), (fittings.cup, 0.4),
    ):  # fmt: skip
        if _maybe(rng, chance):
            on_top(room, desk, builder(rng), rng)


def _furnish_bedroom(room: Room, rng: Rng) -> None:
    found = against_wall(room, seats.bed(rng), rng, front_m=0.4)
    if found:
        bed = found[0]
        for side in (-1, 1):
            stand = storage.nightstand(rng) if _maybe(rng, 0.8) else tables.end_table(rng)
            x = side * ((bed.piece.size[0] + stand.size[0]) / 2 + 0.06)
            y = bed.piece.bounds[1, 1] - stand.bounds[1, 1]
            if _maybe(rng, 0.7):
                placed = beside(room, bed, stand, (x, y, 0))
                if placed and _maybe(rng, 0.6):
                    on_top(room, placed, fixtures.table_lamp(rng), rng)
    if _maybe(rng, 0.75):
        against_wall(room, storage.wardrobe(rng), rng, front_m=0.4)
    if _maybe(rng, 0.6):
        found = against_wall(room, storage.cabinet(rng), rng, front_m=0.3)
        if found and _maybe(rng, 0.5):
            on_top(room, found[0], fittings.television(rng), rng)
    if _maybe(rng, 0.4):
        _add_desk(room, rng)
    for builder, chance in ((storage.bookshelf, 0.4), (seats.armchair, 0.3)):
        if _maybe(rng, chance):
            against_wall(room, builder(rng), rng)
    _decorate(room, rng, pictures=3)


def _furnish_office(room: Room, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 4))):
        _add_desk(room, rng)
    for builder, chance in (
        (storage.bookshelf, 0.85), (storage.bookshelf, 0.4), (storage.cabinet, 0.6),
        (seats.sofa, 0.2),
    ):  # fmt: skip
        if _maybe(rng, chance):
            against_wall(room, builder(rng), rng, front_m=0.2)
    if _maybe(rng, 0.7):
        _hang(room, fittings.whiteboard, rng, low_m=0.95, high_m=1.15)
    if _maybe(rng, 0.3):
        _add_dining(room, rng)
    _decorate(room, rng, pictures=2)


def _add_dining(room: Room, rng: Rng) -> None:
    placed = on_floor_square(room, tables.table(rng), rng)
    if placed is None:
        return
    width, depth, _ = placed.piece.size
    long = [
        (float(x), s) for s in (-1, 1) for x in ((-width / 4, width / 4) if width > 1.2 else (0,))
    ]
    style, looks = seats.chair, int(rng.integers(1 << 30))
    for x, side in long:
        if _maybe(rng, 0.85):
            seat = style(np.random.default_rng(looks))  # chairs of one set look the same
            y = side * (depth / 2 + float(rng.uniform(0.02, 0.25)))
            pose = placed.pose @ shift((x, y, 0)) @ rotation("z", 0 if side > 0 else 180)
            pose = pose @ rotation("z", float(rng.normal(0, 10)))
            if room.is_free(Placed(seat, pose).bounds, -0.35):
                room.add(seat, pose)
    for builder, chance in ((fittings.vase, 0.4), (fittings.cup, 0.5), (fittings.books, 0.3)):
        if _maybe(rng, chance):
            on_top(room, placed, builder(rng), rng)


def _furnish_kitchen(room: Room, rng: Rng) -> None:
    wall = int(rng.integers(4))
    for width in (2.4, 2.0, 1.6, 1.3):
        piece = storage.counter_of_width(width, rng)
        found = against_wall(room, piece, rng, front_m=0.5, walls=(wall, *range(4)))
        if found:
            _equip_counter(room, found[0], rng)
            break
    against_wall(room, storage.refrigerator(rng), rng, front_m=0.5)
    if _maybe(rng, 0.8):
        _add_dining(room, rng)
    for builder, chance in ((storage.cabinet, 0.3), (seats.stool, 0.3)):
        if _maybe(rng, chance):
            against_wall(room, builder(rng), rng)
    _decorate(room, rng, pictures=2)


def _equip_counter(room: Room, counter: Placed, rng: Rng) -> None:
    """Cabinets below, a sink in it, cabinets above, and something on it."""
    width = float(counter.piece.size[0])
    room.add(storage.kitchen_cabinets(width, rng), counter.pose)
    x = float(rng.uniform(-1, 1)) * (width / 2 - 0.35)
    assert counter.piece.top_m is not None
    room.add(fittings.sink(rng), counter.pose @ shift((x, -0.02, counter.piece.top_m + 0.012)))
    high = fittings.wall_cabinets(width, rng)
    pose = counter.pose @ shift((0, float(counter.piece.bounds[1, 1]), 1.45))
    if room.is_free(Placed(high, pose).bounds, 0) and _maybe(rng, 0.8):
        room.add(high, pose)
    free = -np.sign(x) if x else 1.0
    for builder, chance in ((fittings.microwave, 0.6), (fittings.cup, 0.4)):
        if _maybe(rng, chance):
            piece = builder(rng)
            at = float(free) * rng.uniform(0.3, 0.8) * (width / 2 - piece.size[0] / 2)
            if abs(at - x) > 0.35 + piece.size[0] / 2:
                room.add(piece, counter.pose @ shift((at, 0.05, counter.piece.top_m)))


def _furnish_bathroom(room: Room, rng: Rng) -> None:
    found = against_wall(room, fixtures.bathtub(rng), rng) if _maybe(rng, 0.85) else None
    if found and _maybe(rng, 0.8):
        tub = found[0]
        curtain = fittings.shower_curtain(float(tub.piece.size[0]), rng)
        room.add(curtain, tub.pose @ shift((0, tub.piece.bounds[0, 1] - 0.03, 0)))
    against_wall(room, fixtures.toilet(rng), rng, front_m=0.4)
    found = against_wall(room, fixtures.washbasin(rng), rng, front_m=0.4)
    if found and _maybe(rng, 0.8):
        basin, _ = found
        mirror = fittings.mirror(rng)
        back = basin.piece.bounds[1, 1] + GAP_M / 2
        pose = basin.pose @ shift((0, float(back), 1.15))
        if room.is_free(Placed(mirror, pose).bounds, -0.02):
            room.add(mirror, pose)
    if _maybe(rng, 0.8):
        _hang(room, fittings.towel, rng, low_m=0.8, high_m=1.0)
    if _maybe(rng, 0.4):
        against_wall(room, storage.cabinet(rng), rng)
    against_wall(room, fixtures.trash_can(rng), rng)


def _furnish_lounge(room: Room, rng: Rng) -> None:
    found = against_wall(room, seats.sofa(rng), rng, front_m=0.9)
    if found:
        couch = found[0]
        low = tables.coffee_table(rng)
        gap = -couch.piece.size[1] / 2 - low.size[1] / 2 - float(rng.uniform(0.3, 0.5))
        table = beside(room, couch, low, (0, gap, 0))
        for builder, chance in ((fittings.books, 0.6), (fittings.vase, 0.4), (fittings.cup, 0.4)):
            if table and _maybe(rng, chance):
                on_top(room, table, builder(rng), rng)
    stand = against_wall(room, storage.tv_stand(rng), rng, front_m=0.4)
    if stand:
        on_top(room, stand[0], fittings.television(rng), rng, back=True)
    for builder, chance in (
        (storage.bookshelf, 0.7), (seats.armchair, 0.6), (seats.armchair, 0.3),
        (storage.cabinet, 0.4), (fixtures.floor_lamp, 0.6), (seats.sofa, 0.25),
    ):  # fmt: skip
        if _maybe(rng, chance):
            against_wall(room, builder(rng), rng, front_m=0.1)
    if _maybe(rng, 0.5):
        side = against_wall(room, tables.end_table(rng), rng)
        if side and _maybe(rng, 0.7):
            on_top(room, side[0], fixtures.table_lamp(rng), rng)
    if _maybe(rng, 0.3):
        _add_dining(room, rng)
    _decorate(room, rng, pictures=4)
