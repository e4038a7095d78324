"""Things on walls and on furniture: doors, windows, curtains, pictures, screens, and small objects.

A wall piece has its back at y = 0 and stands out towards -y; z = 0 is its lower edge.
"""

import numpy as np

from stages.sample.things.pieces import BLACK, WHITE, Color, Part, Piece, cloth, metal, wood
from stages.sample.things.primitives import box, cylinder, merged, rotation, sheet, tub

Rng = np.random.Generator

SKY: Color = (0.80, 0.90, 1.0)


def door(rng: Rng) -> Piece:
    """A closed door in its frame."""
    width, height = rng.uniform(0.80, 0.95), rng.uniform(1.98, 2.1)
    color = wood(rng)
    frame = [
        *(box((0.08, 0.10, height), (s * (width / 2 + 0.04), -0.05, 0)) for s in (-1, 1)),
        box((width + 0.16, 0.10, 0.08), (0, -0.05, height)),
    ]
    panels = [box((width, 0.04, height), (0, -0.02, 0))]
    if rng.random() < 0.6:
        panels += [
            box((width * 0.62, 0.015, height * 0.36), (0, -0.045, height * z)) for z in (0.08, 0.54)
        ]
    knob = box((0.10, 0.05, 0.03), (width * 0.4, -0.08, 1.0))
    return Piece(
        "door",
        (
            Part("frame", merged(frame), WHITE if rng.random() < 0.5 else color),
            Part("panel", merged(panels), color, "wood"),
            Part("knob", knob, metal(rng)),
        ),
    )


def window(rng: Rng) -> Piece:
    """A window with a frame, a cross-bar and a sill."""
    width, height, bar = rng.uniform(0.9, 1.7), rng.uniform(0.95, 1.3), 0.06
    bars = [
        *(box((bar, 0.05, height), (s * (width - bar) / 2, -0.03, 0)) for s in (-1, 0, 1)),
        *(box((width, 0.05, bar), (0, -0.03, z)) for z in (0.0, height - bar)),
        box((width + 0.1, 0.14, 0.03), (0, -0.07, -0.03)),
    ]
    return Piece(
        "window",
        (
            Part("pane", box((width, 0.01, height), (0, -0.005, 0)), SKY, "glass"),
            Part("frame", merged(bars), WHITE),
        ),
    )


def curtain(width: float, height: float, rng: Rng) -> Piece:
    """A pair of folded curtains over an opening of this width, hanging to the lower edge."""
    half, folds = width * rng.uniform(0.22, 0.4), int(rng.integers(3, 6))
    hung = [
        sheet(half, height, (s * (width - half) / 2, -0.19, 0), folds=folds, depth=0.07)
        for s in (-1, 1)
    ]
    return Piece("curtain", (Part("cloth", merged(hung), cloth(rng), "fabric"),))


def shower_curtain(width: float, rng: Rng) -> Piece:
    """A curtain in the plane y = 0 that covers part of a tub's length."""
    part = width * rng.uniform(0.45, 0.8)
    cloth_ = sheet(part, 1.65, ((part - width) / 2, 0, 0.25), folds=6, depth=0.06)
    rail = box((width, 0.02, 0.02), (0, 0, 1.92))
    color = WHITE if rng.random() < 0.4 else cloth(rng)
    return Piece(
        "shower curtain", (Part("cloth", cloth_, color, "fabric"), Part("rail", rail, metal(rng)))
    )


def picture(rng: Rng) -> Piece:
    """A framed picture."""
    width, height = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.7)
    frame = box((width, 0.025, height), (0, -0.0125, 0))
    canvas = box((width - 0.06, 0.008, height - 0.06), (0, -0.029, 0.03))
    return Piece(
        "picture",
        (Part("frame", frame, wood(rng), "wood"), Part("canvas", canvas, cloth(rng), "picture")),
    )


def whiteboard(rng: Rng) -> Piece:
    """A whiteboard with a tray."""
    width, height = rng.uniform(1.2, 1.9), rng.uniform(0.9, 1.15)
    frame = [
        box((width, 0.02, height), (0, -0.01, 0)),
        box((width * 0.6, 0.07, 0.02), (0, -0.05, 0)),
    ]
    board = box((width - 0.05, 0.006, height - 0.05), (0, -0.023, 0.025))
    return Piece(
        "whiteboard", (Part("frame", merged(frame), metal(rng)), Part("board", board, WHITE))
    )


def mirror(rng: Rng) -> Piece:
    """A bathroom mirror; the depth sensor sees nothing in it."""
    width, height = rng.uniform(0.5, 0.8), rng.uniform(0.6, 0.9)
    pane = box((width, 0.02, height), (0, -0.01, 0))
    return Piece("mirror", (Part("pane", pane, (0.70, 0.76, 0.80), "glass"),))


def wall_cabinets(width: float, rng: Rng) -> Piece:
    """A row of kitchen cabinets on the wall."""
    columns, height = max(2, round(width / 0.5)), rng.uniform(0.55, 0.75)
    color, wide = wood(rng), width / columns
    fronts = [
        box(
            (wide - 0.015, 0.02, height - 0.015),
            (width * ((n + 0.5) / columns - 0.5), -0.34, 0.008),
        )
        for n in range(columns)
    ]
    body = box((width, 0.33, height), (0, -0.165, 0))
    return Piece(
        "kitchen cabinet",
        (Part("body", body, color, "wood"), Part("door", merged(fronts), color, "wood")),
    )


def towel(rng: Rng) -> Piece:
    """A towel on a rail."""
    width, length = rng.uniform(0.35, 0.55), rng.uniform(0.45, 0.7)
    rail = box((width + 0.15, 0.02, 0.02), (0, -0.07, length))
    hung = box((width, 0.03, length), (0, -0.07, 0))
    return Piece(
        "towel", (Part("cloth", hung, cloth(rng), "fabric"), Part("rail", rail, metal(rng)))
    )


def sink(rng: Rng) -> Piece:
    """A basin to be let into a counter: its rim is at z = 0."""
    width = rng.uniform(0.45, 0.62)
    basin = tub((width, 0.42, 0.17), (0, 0, -0.16), wall=0.03, floor=0.03)
    tap = [cylinder(0.015, 0.22, (0, 0.17, 0)), box((0.02, 0.16, 0.02), (0, 0.10, 0.20))]
    steel = metal(rng)
    return Piece("sink", (Part("basin", basin, steel), Part("tap", merged(tap), steel)))


def monitor(rng: Rng) -> Piece:
    """A computer screen on its foot."""
    return _screen("monitor", rng.uniform(0.42, 0.62), rng)


def television(rng: Rng) -> Piece:
    """A television on its foot."""
    return _screen("tv", rng.uniform(0.8, 1.2), rng)


def _screen(label: str, width: float, rng: Rng) -> Piece:
    height, lift = width * 0.58, 0.10
    foot = [box((width * 0.4, 0.2, 0.015)), box((0.05, 0.03, lift + 0.1), (0, 0.03, 0))]
    panel = box((width, 0.035, height), (0, 0, lift))
    image = box((width - 0.03, 0.006, height - 0.03), (0, -0.02, lift + 0.015))
    on = rng.random() < 0.4
    return Piece(
        label,
        (
            Part("frame", merged([panel, *foot]), BLACK),
            Part("screen", image, (0.30, 0.42, 0.62) if on else (0.05, 0.05, 0.06),
                 "picture" if on else "plain"),
        ),
    )  # fmt: skip


def laptop(rng: Rng) -> Piece:
    """An open laptop."""
    width = rng.uniform(0.30, 0.38)
    lid = box((width, 0.015, width * 0.66)).transformed(rotation("x", -float(rng.uniform(5, 30))))
    return Piece(
        "laptop",
        (
            Part("keyboard", box((width, width * 0.68, 0.02)), metal(rng)),
            Part("screen", lid.moved((0, width * 0.34, 0.02)), BLACK),
        ),
    )


def books(rng: Rng) -> Piece:
    """A small pile of books."""
    count, z, pile = int(rng.integers(1, 5)), 0.0, []
    for _ in range(count):
        size = (rng.uniform(0.13, 0.2), rng.uniform(0.18, 0.26), rng.uniform(0.02, 0.05))
        pile.append(box(size, (0, 0, z)))
        z += size[2]
    return Piece("books" if count > 1 else "book", (Part("books", merged(pile), cloth(rng)),))


def cup(rng: Rng) -> Piece:
    """A cup with a handle."""
    height, radius = rng.uniform(0.08, 0.12), rng.uniform(0.035, 0.05)
    body = cylinder(radius, height, top=rng.uniform(1.0, 1.15), sides=16)
    handle = [box((0.04, 0.012, 0.012), (radius + 0.015, 0, height * z)) for z in (0.25, 0.75)] + [
        box((0.012, 0.012, height * 0.55), (radius + 0.035, 0, height * 0.25))
    ]
    color = cloth(rng)
    return Piece("cup", (Part("body", body, color), Part("handle", merged(handle), color)))


def vase(rng: Rng) -> Piece:
    """A vase."""
    height, radius = rng.uniform(0.18, 0.35), rng.uniform(0.05, 0.09)
    lower = cylinder(radius * 0.7, height * 0.55, top=1.6, sides=16)
    upper = cylinder(radius * 1.12, height * 0.45, (0, 0, height * 0.55), top=0.45, sides=16)
    return Piece("vase", (Part("body", merged([lower, upper]), cloth(rng)),))


def microwave(rng: Rng) -> Piece:
    """A microwave oven."""
    width, height = rng.uniform(0.45, 0.52), rng.uniform(0.26, 0.30)
    front = box((width * 0.7, 0.01, height - 0.06), (-width * 0.1, -0.185, 0.03))
    return Piece(
        "microwave",
        (Part("body", box((width, 0.36, height)), metal(rng)), Part("door", front, BLACK)),
    )


def cardboard_box(rng: Rng) -> Piece:
    """A cardboard box."""
    size = tuple(float(side) for side in rng.uniform((0.25, 0.25, 0.18), (0.5, 0.45, 0.4)))
    return Piece("box", (Part("body", box((size[0], size[1], size[2])), (0.66, 0.50, 0.32)),))


def backpack(rng: Rng) -> Piece:
    """A backpack leaning on nothing."""
    color = cloth(rng)
    width, height = rng.uniform(0.26, 0.34), rng.uniform(0.38, 0.50)
    body = box((width, 0.18, height), top=0.8)
    pocket = box((width * 0.75, 0.07, height / 2), (0, -0.12, 0.04), top=0.85)
    return Piece("backpack", (Part("body", merged([body, pocket]), color, "fabric"),))
