"""Objects that stand in no room, for the object data sets: several styles and any size of each.

Part names are ShapeNetPart's where it names them.
"""

import numpy as np

from stages.geometry.meshes import Mesh
from stages.sample.things.pieces import WHITE, Part, Piece
from stages.sample.things.primitives import box, cylinder, ellipsoid, merged, rotation

Rng = np.random.Generator


def airplane(rng: Rng) -> Piece:
    """An airliner: nose towards -y, engines below its wings or at its tail."""
    length, radius, span = rng.uniform(30, 45), rng.uniform(1.8, 2.6), rng.uniform(28, 45)
    body = ellipsoid((radius, length / 2, radius), (0, 0, 0), sides=16)
    sweep, chord = rng.uniform(15, 35), rng.uniform(3.5, 6.0)
    wings = [_fin(side * span / 2, chord, 0.35, sweep * side) for side in (-1, 1)]
    tail_y, tail_span = length * 0.44, span * 0.18
    tails = [
        _fin(side * tail_span, chord * 0.6, 0.25, sweep * side).moved((0, tail_y, radius * 0.3))
        for side in (-1, 1)
    ]
    upright = box((0.3, chord * 0.8, radius * rng.uniform(2.2, 3.0)), (0, tail_y, 0), top=0.7)
    under = rng.random() < 0.7
    places = (
        [(s * span * x, -0.5, -radius * 0.9) for s in (-1, 1) for x in rng.uniform(0.12, 0.2, 1)]
        if under
        else [(s * radius * 1.5, length * 0.3, radius * 0.4) for s in (-1, 1)]
    )
    size = radius * rng.uniform(0.38, 0.55)
    engines = [
        cylinder(size, 4 * size, (0, 0, -2 * size), sides=10)
        .transformed(rotation("x", 90))
        .moved(at)
        for at in places
    ]
    return _piece(
        "airplane", body=body, wing=merged(wings), tail=merged([*tails, upright]),
        engine=merged(engines),
    )  # fmt: skip


def _fin(reach: float, chord: float, thick: float, turn: float) -> Mesh:
    """A flat blade from the middle out to x = `reach`, turned backwards by degrees."""
    blade = box((abs(reach), chord, thick), (reach / 2, 0, -thick / 2), top=0.9)
    return blade.transformed(rotation("z", turn))


def car(rng: Rng) -> Piece:
    """A car with its front towards -y: saloon, van or pick-up."""
    length, width, wheel = rng.uniform(3.8, 5.0), rng.uniform(1.65, 1.9), rng.uniform(0.30, 0.38)
    low, tall = wheel * 0.9, rng.uniform(0.5, 0.7)
    style = rng.integers(3)
    cabin, back = ((0.48, 0.06), (0.70, 0.14), (0.32, -0.04))[style]
    cabin_height = rng.uniform(0.45, 0.6) * (1.5 if style == 1 else 1.0)
    hood_length = length * (0.5 - cabin / 2 + back)
    wheels = [
        cylinder(wheel, 0.2, (0, 0, -0.1), sides=14)
        .transformed(rotation("y", 90))
        .moved((sx * (width / 2 - 0.1), sy * length * 0.31, wheel))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return _piece(
        "car",
        roof=box(
            (width * 0.92, length * cabin, cabin_height), (0, length * back, low + tall), top=0.8
        ),
        hood=box(
            (width * 0.9, hood_length * 0.9, 0.06), (0, (hood_length - length) / 2, low + tall)
        ),
        wheel=merged(wheels),
        body=box((width, length, tall), (0, 0, low)),
    )


def guitar(rng: Rng) -> Piece:
    """A guitar standing on its end, its strings towards -y: round or cut away."""
    height, wide, deep = rng.uniform(0.42, 0.50), rng.uniform(0.34, 0.42), rng.uniform(0.05, 0.11)
    lower = ellipsoid((wide / 2, deep / 2, height * 0.32), (0, 0, height * 0.32), sides=16)
    upper = ellipsoid((wide * 0.38, deep / 2, height * 0.28), (0, 0, height * 0.72), sides=16)
    neck_length = rng.uniform(0.42, 0.52)
    neck = box((0.055, 0.03, neck_length), (0, -deep / 4, height * 0.9))
    head = box((0.085, 0.02, 0.17), (0, -deep / 4, height * 0.9 + neck_length))
    return _piece("guitar", head=head, neck=neck, body=merged([lower, upper]))


def knife(rng: Rng) -> Piece:
    """A knife lying along y."""
    blade, grip, wide = rng.uniform(0.10, 0.24), rng.uniform(0.09, 0.13), rng.uniform(0.018, 0.04)
    edge = box((wide, 0.003, blade), top=rng.uniform(0.15, 0.6))
    handle = box((wide * 0.8, 0.016, grip), (0, 0, -grip), top=rng.uniform(0.85, 1.1))
    lying = rotation("x", 90)
    return _piece("knife", blade=edge.transformed(lying), handle=handle.transformed(lying))


def rocket(rng: Rng) -> Piece:
    """A rocket standing on three or four fins."""
    radius, height = rng.uniform(0.8, 1.4), rng.uniform(8, 14)
    count, fin = int(rng.integers(3, 5)), rng.uniform(0.8, 1.6)
    fins = [
        box((fin, 0.1, fin * 1.6), (radius + fin / 2 - 0.1, 0, 0), top=0.6).transformed(
            rotation("z", 360 * n / count)
        )
        for n in range(count)
    ]
    nose = cylinder(radius, rng.uniform(1.5, 3.0), (0, 0, height), top=0.05, sides=16)
    return _piece("rocket", body=cylinder(radius, height, sides=16), fin=merged(fins), nose=nose)


def skateboard(rng: Rng) -> Piece:
    """A skateboard along y, its ends bent up."""
    length, width, wheel = (
        rng.uniform(0.72, 0.95),
        rng.uniform(0.19, 0.25),
        rng.uniform(0.025, 0.035),
    )
    height, bend, tip = 2.6 * wheel, rng.uniform(12, 28), 0.12
    deck = [box((width, length - 2 * tip, 0.012), (0, 0, height))]
    for side in (-1, 1):
        end = box((width * 0.95, tip, 0.012), (0, side * tip / 2, 0))
        bent = end.transformed(rotation("x", side * bend))
        deck.append(bent.moved((0, side * (length / 2 - tip), height)))
    ends = [side * (length / 2 - tip - 0.06) for side in (-1, 1)]
    axles = [box((width * 0.8, 0.03, height - wheel), (0, y, wheel)) for y in ends]
    lying = rotation("y", 90)
    wheels = [
        cylinder(wheel, 0.035, (0, 0, -0.0175), sides=12).transformed(lying).moved((s * width * 0.42, y, wheel))
        for s in (-1, 1)
        for y in ends
    ]  # fmt: skip
    return _piece("skateboard", wheel=merged(wheels), deck=merged(deck), axle=merged(axles))


def bag(rng: Rng) -> Piece:
    """A handbag or a shopping bag with one or two handles."""
    width, depth, height = rng.uniform(0.25, 0.42), rng.uniform(0.09, 0.18), rng.uniform(0.2, 0.38)
    rise, reach, thick = rng.uniform(0.10, 0.2), width * rng.uniform(0.4, 0.7), 0.018
    arch = [
        *(box((thick, thick, rise), (s * reach / 2, 0, 0)) for s in (-1, 1)),
        box((reach, thick, thick), (0, 0, rise - thick)),
    ]
    where = (0.0,) if rng.random() < 0.5 else (-depth * 0.35, depth * 0.35)
    handle = merged([merged(arch).moved((0, y, height)) for y in where])
    return _piece(
        "bag", handle=handle, body=box((width, depth, height), top=rng.uniform(0.75, 1.1))
    )


def ceiling_lamp(rng: Rng) -> Piece:
    """A lamp that hangs from a ceiling."""
    drop, radius, height = rng.uniform(0.3, 0.8), rng.uniform(0.12, 0.26), rng.uniform(0.12, 0.26)
    shade = cylinder(radius, height, top=rng.uniform(0.2, 0.8), sides=20)
    pole = cylinder(0.012, drop, (0, 0, height * 0.9), sides=8)
    canopy = cylinder(rng.uniform(0.05, 0.09), 0.03, (0, 0, height * 0.9 + drop), sides=14)
    return _piece("lamp", shade=shade, canopy=canopy, pole=pole)


def _piece(label: str, **parts: Mesh) -> Piece:
    """A piece that is never rendered: no colours of its own."""
    return Piece(label, tuple(Part(name, mesh, WHITE) for name, mesh in parts.items()))
