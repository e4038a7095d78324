"""Cabinets, shelves and what is built like them: several styles and any size of each.

Sizes are typical ones in metres. Part names of chairs, tables and lamps are ShapeNetPart's.
"""

import numpy as np

from stages.sample.things.pieces import BLACK, Part, Piece, cloth, metal, wood
from stages.sample.things.primitives import box, merged

Rng = np.random.Generator


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
