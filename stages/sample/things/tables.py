"""Tables and desks: several styles and any size of each.

Sizes are typical ones in metres. Part names of chairs, tables and lamps are ShapeNetPart's.
"""

import numpy as np

from stages.geometry.meshes import Mesh
from stages.sample.things.pieces import Color, Part, Piece, wood
from stages.sample.things.primitives import box, cylinder, four_legs, merged

Rng = np.random.Generator


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
    legs = four_legs(width - 0.1, depth - 0.1, height - 0.04, 0.06, round_=rng.random() < 0.4)
    return _table("table", board, legs, height, color)


def coffee_table(rng: Rng) -> Piece:
    """A low table, open, or with a shelf below."""
    width, depth, height = rng.uniform(0.7, 1.2), rng.uniform(0.45, 0.65), rng.uniform(0.36, 0.48)
    board = box((width, depth, 0.04), (0, 0, height - 0.04))
    legs = [four_legs(width, depth, height - 0.04, 0.05, round_=False)]
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
        legs = four_legs(size, size, height - 0.03, 0.04, round_=False)
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
