"""Bathroom fixtures, lamps, bins and plants: several styles and any size of each.

Sizes are typical ones in metres. Part names of chairs, tables and lamps are ShapeNetPart's.
"""

import numpy as np

from stages.sample.things.pieces import WHITE, Part, Piece, cloth, metal
from stages.sample.things.primitives import box, cylinder, ellipsoid, merged, rotation, tub

Rng = np.random.Generator


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
