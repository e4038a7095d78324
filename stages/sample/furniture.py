"""Furniture that stands on the floor: several styles and any size of each category.

Sizes are typical ones in metres. Part names of chairs, tables and lamps are ShapeNetPart's.
"""

import numpy as np

from stages.sample.meshes import Mesh, box, cylinder, ellipsoid, merged, rotation, tub
from stages.sample.pieces import BLACK, WHITE, Color, Part, Piece, cloth, metal, wood

Rng = np.random.Generator


def _legs(width: float, depth: float, height: float, thick: float, *, round_: bool) -> Mesh:
    """Four legs at the corners of a width x depth rectangle."""
    x, y = (width - thick) / 2, (depth - thick) / 2
    corners = [(sx * x, sy * y, 0.0) for sx in (-1, 1) for sy in (-1, 1)]
    if round_:
        return merged([cylinder(thick / 2, height, at, sides=8) for at in corners])
    return merged([box((thick, thick, height), at) for at in corners])


def chair(rng: Rng) -> Piece:
    """A four-legged chair, with a slatted, open or closed back, sometimes with arms."""
    width, depth, seat = rng.uniform(0.40, 0.50), rng.uniform(0.40, 0.50), rng.uniform(0.42, 0.48)
    back, thick, color = rng.uniform(0.38, 0.55), rng.uniform(0.03, 0.05), wood(rng)
    y = depth / 2 - thick / 2
    match rng.integers(3):
        case 0:
            backs = [box((width, thick, back), (0, y, seat))]
        case 1:
            x = np.linspace(-1, 1, 5) * (width - thick) / 2
            backs = [box((thick, thick, back), (float(at), y, seat)) for at in x]
            backs.append(box((width, thick, 0.06), (0, y, seat + back - 0.06)))
        case _:
            posts = [box((thick, thick, back), (s * (width - thick) / 2, y, seat)) for s in (-1, 1)]
            bars = [box((width, thick, 0.07), (0, y, seat + back * at)) for at in (0.4, 0.8)]
            backs = posts + bars
    padded = rng.random() < 0.5
    parts = [
        Part("seat", box((width, depth, 0.05), (0, 0, seat - 0.05)),
             cloth(rng) if padded else color, "fabric" if padded else "wood"),
        Part("back", merged(backs), color, "wood"),
        Part("leg", _legs(width, depth, seat - 0.05, thick, round_=rng.random() < 0.5), color,
             "wood"),
    ]  # fmt: skip
    if rng.random() < 0.35:
        parts.append(Part("arm", _arms(width, depth, seat, 0.04), color, "wood"))
    return Piece("chair", tuple(parts))


def _arms(width: float, depth: float, seat: float, thick: float) -> Mesh:
    rests = [box((thick, depth, 0.03), (s * width / 2, 0, seat + 0.20)) for s in (-1, 1)]
    posts = [box((thick, thick, 0.20), (s * width / 2, -depth / 2 + thick, seat)) for s in (-1, 1)]
    return merged(rests + posts)


def office_chair(rng: Rng) -> Piece:
    """A swivel chair on a five-pointed foot."""
    width, seat, back = rng.uniform(0.45, 0.54), rng.uniform(0.44, 0.52), rng.uniform(0.45, 0.65)
    color, steel = cloth(rng), metal(rng)
    spokes = [
        box((0.05, 0.30, 0.05), (0, 0.15, 0.04)).transformed(rotation("z", 72 * n))
        for n in range(5)
    ]
    parts = [
        Part("seat", box((width, width, 0.09), (0, 0, seat - 0.09), top=0.94), color, "fabric"),
        Part("back", box((width * 0.9, 0.08, back), (0, width / 2, seat + 0.05), top=0.85), color,
             "fabric"),
        Part("leg", merged([cylinder(0.03, seat - 0.14, (0, 0, 0.05), sides=8), *spokes]), steel),
    ]  # fmt: skip
    if rng.random() < 0.6:
        parts.append(Part("arm", _arms(width, width * 0.8, seat, 0.05), BLACK))
    return Piece("office chair", tuple(parts))


def armchair(rng: Rng) -> Piece:
    """A low upholstered chair with closed arms."""
    return _upholstered("armchair", rng.uniform(0.75, 0.95), 1, rng)


def stool(rng: Rng) -> Piece:
    """A round or square stool without a back."""
    seat, radius, color = rng.uniform(0.42, 0.75), rng.uniform(0.15, 0.20), wood(rng)
    top = cylinder(radius, 0.04, (0, 0, seat - 0.04), sides=16)
    legs = _legs(1.5 * radius, 1.5 * radius, seat - 0.04, 0.03, round_=True)
    return Piece(
        "stool", (Part("seat", top, cloth(rng), "fabric"), Part("leg", legs, color, "wood"))
    )


def sofa(rng: Rng) -> Piece:
    """A sofa of two or three seats, or one with a corner."""
    seats = int(rng.integers(2, 4))
    piece = _upholstered("couch", seats * rng.uniform(0.60, 0.72) + 0.35, seats, rng)
    if rng.random() < 0.3:
        color = piece.parts[0].color
        side = box((0.75, 0.8, 0.42), (piece.size[0] / 2 - 0.38, -piece.size[1] / 2 - 0.38, 0))
        piece = Piece("couch", (*piece.parts, Part("seat", side, color, "fabric")))
    return piece


def _upholstered(label: str, width: float, seats: int, rng: Rng) -> Piece:
    depth, seat, back = rng.uniform(0.80, 0.95), rng.uniform(0.38, 0.45), rng.uniform(0.75, 0.90)
    arm, arm_height, color = rng.uniform(0.12, 0.20), rng.uniform(0.52, 0.65), cloth(rng)
    inner = width - 2 * arm
    cushions = [
        box((inner / seats - 0.02, depth - 0.25, 0.14),
            (inner * ((n + 0.5) / seats - 0.5), -0.12, seat - 0.14), top=0.95)
        for n in range(seats)
    ]  # fmt: skip
    sides = [box((arm, depth, arm_height), (s * (width - arm) / 2, 0, 0)) for s in (-1, 1)]
    return Piece(
        label,
        (
            Part("seat", merged([box((inner, depth, seat - 0.14)), *cushions]), color, "fabric"),
            Part("back", box((width, 0.22, back), (0, depth / 2 - 0.11, 0)), color, "fabric"),
            Part("arm", merged(sides), color, "fabric"),
        ),
    )


def table(rng: Rng) -> Piece:
    """A dining table: rectangular on four legs, or round on a pedestal."""
    height, color = rng.uniform(0.70, 0.77), wood(rng)
    if rng.random() < 0.35:
        radius = rng.uniform(0.45, 0.65)
        foot = [cylinder(0.06, height - 0.04), cylinder(radius * 0.6, 0.04, top=0.7)]
        board = cylinder(radius, 0.04, (0, 0, height - 0.04), sides=24)
        return _table("table", board, merged(foot), height, color)
    width, depth = rng.uniform(1.0, 1.8), rng.uniform(0.70, 0.95)
    board = box((width, depth, 0.04), (0, 0, height - 0.04))
    legs = _legs(width - 0.1, depth - 0.1, height - 0.04, 0.06, round_=rng.random() < 0.4)
    return _table("table", board, legs, height, color)


def coffee_table(rng: Rng) -> Piece:
    """A low table, open, or with a shelf below."""
    width, depth, height = rng.uniform(0.7, 1.2), rng.uniform(0.45, 0.65), rng.uniform(0.36, 0.48)
    board = box((width, depth, 0.04), (0, 0, height - 0.04))
    legs = [_legs(width, depth, height - 0.04, 0.05, round_=False)]
    if rng.random() < 0.5:
        legs.append(box((width - 0.06, depth - 0.06, 0.02), (0, 0, 0.12)))
    return _table("coffee table", board, merged(legs), height, wood(rng))


def end_table(rng: Rng) -> Piece:
    """A small square or round table."""
    size, height = rng.uniform(0.38, 0.52), rng.uniform(0.48, 0.62)
    if rng.random() < 0.5:
        board = cylinder(size / 2, 0.03, (0, 0, height - 0.03), sides=20)
        legs = merged([cylinder(0.03, height - 0.03), cylinder(size * 0.35, 0.03)])
    else:
        board = box((size, size, 0.03), (0, 0, height - 0.03))
        legs = _legs(size, size, height - 0.03, 0.04, round_=False)
    return _table("end table", board, legs, height, wood(rng))


def _table(label: str, board: Mesh, legs: Mesh, height: float, color: Color) -> Piece:
    return Piece(
        label, (Part("top", board, color, "wood"), Part("leg", legs, color, "wood")), top_m=height
    )


def desk(rng: Rng) -> Piece:
    """A desk with a block of drawers on one side, and legs or a board on the other."""
    width, depth, height = rng.uniform(1.1, 1.6), rng.uniform(0.6, 0.75), rng.uniform(0.71, 0.76)
    color, side = wood(rng), rng.choice((-1.0, 1.0))
    block = rng.uniform(0.35, 0.45)
    under = height - 0.04
    drawers = [
        box((block - 0.04, 0.02, under / 3 - 0.03),
            (side * (width - block) / 2, -depth / 2 + 0.02, under * n / 3 + 0.015))
        for n in range(3)
    ]  # fmt: skip
    body = box((block, depth - 0.06, under), (side * (width - block) / 2, 0, 0))
    if rng.random() < 0.5:
        legs = box((0.04, depth - 0.06, under), (-side * (width - 0.04) / 2, 0, 0))
    else:
        x = -side * (width - 0.1) / 2
        legs = merged([box((0.05, 0.05, under), (x, s * (depth - 0.1) / 2, 0)) for s in (-1, 1)])
    return Piece(
        "desk",
        (
            Part("top", box((width, depth, 0.04), (0, 0, under)), color, "wood"),
            Part("drawer", merged([body, *drawers]), color, "wood"),
            Part("leg", legs, color, "wood"),
        ),
        top_m=height,
    )


def bed(rng: Rng) -> Piece:
    """A single or double bed with a headboard, its head towards +y."""
    width = rng.choice((0.95, 1.40, 1.65)) + rng.uniform(-0.05, 0.05)
    length, height = rng.uniform(1.95, 2.10), rng.uniform(0.42, 0.58)
    color, cover = wood(rng), cloth(rng)
    frame = [box((width, length, height - 0.22), (0, 0, 0.04))]
    if rng.random() < 0.4:
        frame.append(box((width, 0.06, height + 0.15), (0, -length / 2, 0)))
    head = box((width + 0.06, 0.08, rng.uniform(0.85, 1.20)), (0, length / 2, 0))
    pillows = [
        box((min(0.6, width / 2), 0.38, 0.13), (x, length / 2 - 0.30, height), top=0.75)
        for x in ((-width / 4, width / 4) if width > 1.2 else (0.0,))
    ]
    blanket = box((width + 0.04, length * 0.66, 0.05), (0, -length * 0.16, height - 0.03))
    return Piece(
        "bed",
        (
            Part("frame", merged([*frame, head]), color, "wood"),
            Part("mattress", box((width, length - 0.05, 0.2), (0, 0, height - 0.2)), WHITE),
            Part("pillow", merged(pillows), WHITE, "fabric"),
            Part("blanket", blanket, cover, "fabric"),
        ),
    )


def cabinet(rng: Rng) -> Piece:
    """A sideboard or chest with doors or drawers."""
    width, depth, height = rng.uniform(0.7, 1.4), rng.uniform(0.38, 0.5), rng.uniform(0.7, 1.1)
    return _fronted("cabinet", width, depth, height, rng, columns=int(rng.integers(2, 4)),
                    rows=int(rng.integers(1, 5)))  # fmt: skip


def wardrobe(rng: Rng) -> Piece:
    """A tall cabinet with two or three doors."""
    columns = int(rng.integers(2, 4))
    width, height = columns * rng.uniform(0.42, 0.5), rng.uniform(1.85, 2.1)
    return _fronted("wardrobe closet", width, rng.uniform(0.52, 0.62), height, rng,
                    columns=columns, rows=1)  # fmt: skip


def nightstand(rng: Rng) -> Piece:
    """A bedside chest of one to three drawers."""
    size, height = rng.uniform(0.40, 0.52), rng.uniform(0.48, 0.62)
    return _fronted("nightstand", size, rng.uniform(0.36, 0.42), height, rng, columns=1,
                    rows=int(rng.integers(1, 4)))  # fmt: skip


def tv_stand(rng: Rng) -> Piece:
    """A long low chest."""
    return _fronted("tv stand", rng.uniform(1.1, 1.6), 0.42, rng.uniform(0.42, 0.55), rng,
                    columns=3, rows=1)  # fmt: skip


def _fronted(
    label: str, width: float, depth: float, height: float, rng: Rng, *, columns: int, rows: int
) -> Piece:
    """A body with a grid of fronts and handles on its -y side."""
    color, plinth = wood(rng), 0.06
    body = box((width, depth - 0.02, height - plinth), (0, 0.01, plinth))
    foot = box((width - 0.06, depth - 0.08, plinth), (0, 0.02, 0))
    fronts, handles = [], []
    wide, tall = width / columns, (height - plinth - 0.02) / rows
    for column in range(columns):
        for row in range(rows):
            x, z = width * ((column + 0.5) / columns - 0.5), plinth + row * tall
            fronts.append(box((wide - 0.015, 0.02, tall - 0.015), (x, -depth / 2 + 0.01, z)))
            handles.append(box((0.10, 0.02, 0.015), (x, -depth / 2 - 0.01, z + tall * 0.7)))
    return Piece(
        label,
        (
            Part("body", merged([body, foot]), color, "wood"),
            Part("door", merged(fronts), color, "wood"),
            Part("handle", merged(handles), metal(rng)),
        ),
        top_m=height,
    )


def bookshelf(rng: Rng) -> Piece:
    """An open shelf with rows of books."""
    width, depth, height = rng.uniform(0.7, 1.3), rng.uniform(0.26, 0.34), rng.uniform(1.1, 2.05)
    shelves, color = int(np.ceil(height / 0.36)), wood(rng)
    boards = [box((0.025, depth, height), (s * (width - 0.025) / 2, 0, 0)) for s in (-1, 1)]
    boards.append(box((width, 0.02, height), (0, depth / 2 - 0.01, 0)))
    levels = np.linspace(0, height - 0.025, shelves)
    boards += [box((width - 0.05, depth, 0.025), (0, 0, float(z))) for z in levels]
    books = []
    for z in levels[:-1]:
        end = -width / 2 + 0.03
        while rng.random() < 0.93 and end < width / 2 - 0.3:
            long = rng.uniform(0.12, 0.28)
            size = (long, depth * 0.7, rng.uniform(0.17, 0.27))
            books.append(box(size, (end + long / 2, 0.02, float(z) + 0.025)))
            end += long + rng.choice((0.0, 0.0, 0.06))
    parts = [Part("shelf", merged(boards), color, "wood")]
    if books:
        parts.append(Part("books", merged(books), cloth(rng), "books"))
    return Piece("bookshelf", tuple(parts))


def counter_of_width(width: float, rng: Rng) -> Piece:
    """A counter board; its cabinets are a piece of their own, see `kitchen_cabinets`."""
    height = 0.90
    board = box((width, 0.62, 0.04), (0, 0, height - 0.04))
    splash = box((width, 0.02, 0.10), (0, 0.30, height))
    stone = rng.choice(((0.25, 0.25, 0.27), (0.70, 0.68, 0.65), (0.50, 0.40, 0.32)))
    color = (float(stone[0]), float(stone[1]), float(stone[2]))
    return Piece("counter", (Part("top", merged([board, splash]), color),), top_m=height)


def kitchen_cabinets(width: float, rng: Rng) -> Piece:
    """The row of cabinets under a counter of this width."""
    columns = max(2, round(width / 0.55))
    piece = _fronted("kitchen cabinets", width, 0.58, 0.855, rng, columns=columns, rows=1)
    return Piece(piece.label, piece.parts)


def refrigerator(rng: Rng) -> Piece:
    """A refrigerator with one or two doors, white, grey or black."""
    width, depth = rng.uniform(0.58, 0.80), rng.uniform(0.60, 0.72)
    height, color = rng.uniform(1.45, 1.85), metal(rng)
    split = rng.uniform(0.28, 0.70) * height
    doors = [
        box((width - 0.01, 0.05, split - 0.04), (0, -depth / 2 + 0.02, 0.03)),
        box((width - 0.01, 0.05, height - split - 0.02), (0, -depth / 2 + 0.02, split)),
    ]
    handles = [
        box((0.03, 0.05, 0.30), (-width * 0.4, -depth / 2 - 0.02, z))
        for z in (split - 0.38, split + 0.06)
    ]
    return Piece(
        "refrigerator",
        (
            Part("body", box((width, depth - 0.06, height), (0, 0.03, 0)), color),
            Part("door", merged(doors), color),
            Part("handle", merged(handles), BLACK),
        ),
    )


def toilet(rng: Rng) -> Piece:
    """A toilet with its tank towards +y."""
    height = rng.uniform(0.38, 0.43)
    bowl = cylinder(0.13, height - 0.03, (0, -0.08, 0), top=1.45, sides=20)
    seat = cylinder(0.2, 0.03, (0, -0.08, height - 0.03), sides=20)
    long = rotation("z", 0)
    long[1, 1] = rng.uniform(1.15, 1.3)
    tank = [box((0.40, 0.18, 0.36), (0, 0.27, height - 0.02)),
            box((0.42, 0.20, 0.03), (0, 0.27, height + 0.34))]  # fmt: skip
    foot = box((0.2, 0.35, height - 0.05), (0, 0.12, 0))
    return Piece(
        "toilet",
        (
            Part("bowl", merged([bowl.transformed(long), foot]), WHITE),
            Part("seat", seat.transformed(long), WHITE),
            Part("tank", merged(tank), WHITE),
        ),
    )


def bathtub(rng: Rng) -> Piece:
    """A bathtub, closed on all sides."""
    size = (rng.uniform(1.5, 1.8), rng.uniform(0.70, 0.82), rng.uniform(0.50, 0.60))
    return Piece("bathtub", (Part("tub", tub(size, wall=0.07, floor=0.12), WHITE),))


def washbasin(rng: Rng) -> Piece:
    """A bathroom sink on a pedestal."""
    height, width = rng.uniform(0.80, 0.88), rng.uniform(0.48, 0.62)
    basin = tub((width, 0.42, 0.16), (0, 0, height - 0.16), wall=0.04, floor=0.04)
    pedestal = cylinder(0.11, height - 0.16, (0, 0.04, 0), top=0.8)
    tap = [
        cylinder(0.015, 0.14, (0, 0.16, height)),
        box((0.02, 0.12, 0.02), (0, 0.10, height + 0.12)),
    ]
    return Piece(
        "sink",
        (Part("basin", merged([basin, pedestal]), WHITE), Part("tap", merged(tap), metal(rng))),
    )


def trash_can(rng: Rng) -> Piece:
    """A bin, round or square, open or with a lid."""
    size, height = rng.uniform(0.22, 0.36), rng.uniform(0.28, 0.55)
    color = cloth(rng) if rng.random() < 0.5 else metal(rng)
    if rng.random() < 0.5:
        body = cylinder(size / 2 * 0.85, height, top=1.18, sides=16)
    else:
        body = tub((size, size * 0.8, height), wall=0.015, floor=0.02)
    return Piece("trash can", (Part("body", body, color),))


def floor_lamp(rng: Rng) -> Piece:
    """A standing lamp."""
    return _lamp("lamp", rng.uniform(1.35, 1.7), rng)


def _lamp(label: str, height: float, rng: Rng) -> Piece:
    wide = 0.10 + 0.06 * height
    shade_height = rng.uniform(0.16, 0.26)
    shade = cylinder(wide * rng.uniform(1.0, 1.4), shade_height, (0, 0, height - shade_height),
                     top=rng.uniform(0.5, 0.9), sides=20)  # fmt: skip
    pole = cylinder(0.015, height - shade_height / 2, sides=8)
    return Piece(
        label,
        (
            Part("base", cylinder(wide, 0.03, sides=20), metal(rng)),
            Part("pole", pole, metal(rng)),
            Part("shade", shade, (0.93, 0.88, 0.74)),
        ),
    )


def table_lamp(rng: Rng) -> Piece:
    """A small lamp for a nightstand or a desk."""
    return _lamp("lamp", rng.uniform(0.38, 0.55), rng)


def plant(rng: Rng) -> Piece:
    """A potted plant."""
    pot, height = rng.uniform(0.12, 0.2), rng.uniform(0.5, 1.1)
    green = (0.16 + rng.uniform(0, 0.1), 0.36 + rng.uniform(0, 0.15), 0.14)
    leaves = [
        ellipsoid((0.09, 0.03, height * 0.42), (0, 0.09, pot + height * 0.3), sides=8)
        .transformed(rotation("x", -float(rng.uniform(5, 35))))
        .transformed(rotation("z", 51 * n))
        for n in range(7)
    ]
    return Piece(
        "plant",
        (
            Part("pot", cylinder(pot, 1.6 * pot, top=1.25, sides=16), cloth(rng)),
            Part("leaves", merged(leaves), green, "fabric"),
        ),
    )
