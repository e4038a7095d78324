"""Things to sit and lie on: several styles and any size of each.

Sizes are typical ones in metres. Part names of chairs, tables and lamps are ShapeNetPart's.
"""

import numpy as np

from stages.geometry.meshes import Mesh
from stages.sample.things.pieces import BLACK, WHITE, Part, Piece, cloth, metal, wood
from stages.sample.things.primitives import box, cylinder, four_legs, merged, rotation

Rng = np.random.Generator


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
        Part("leg", four_legs(width, depth, seat - 0.05, thick, round_=rng.random() < 0.5), color,
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
    legs = four_legs(1.5 * radius, 1.5 * radius, seat - 0.04, 0.03, round_=True)
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
