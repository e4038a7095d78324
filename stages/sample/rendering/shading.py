"""Colours of surface points: light, shadow, and a texture for each finish. Pure functions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.sample.things.pieces import FINISHES

Floats = NDArray[np.floating[Any]]

AMBIENT = 0.42
GROUT = 0.62


def light(points: Floats, normals: Floats, lamp: Floats, shadowed: NDArray[np.bool_]) -> Floats:
    """Brightness (N,) of points (N, 3) with unit normals (N, 3) under a lamp (3,), all in metres."""
    towards = lamp - points
    squared = np.einsum("ij,ij->i", towards, towards)
    slant = np.einsum("ij,ij->i", towards, normals) / np.sqrt(np.maximum(squared, 1e-6))
    direct = np.clip(slant, 0, 1) * np.where(shadowed, 0.25, 1) / (1 + 0.05 * squared)
    sky = 0.06 * normals[:, 2]  # what faces up is a little brighter, also in the shadow
    return AMBIENT + sky + 0.75 * direct


def textured(colors: Floats, points: Floats, normals: Floats, finish: NDArray[np.int8]) -> Floats:
    """Vary base colours (N, 3) over position (N, 3) by the finish (N,), an index of FINISHES."""
    result = colors.copy()
    for code in np.flatnonzero(np.bincount(finish)):
        texture = _TEXTURES[FINISHES[code]]
        if texture is not _plain:
            chosen = np.flatnonzero(finish == code)
            result[chosen] = texture(colors[chosen], points[chosen], normals[chosen])
    return result


def _plain(colors: Floats, points: Floats, normals: Floats) -> Floats:
    return colors


def _wood(colors: Floats, points: Floats, normals: Floats) -> Floats:
    x, y, z = points.T
    grain = np.sin(55 * (x + y) + 4 * np.sin(3.1 * z + 1.7 * x) + 9 * z)
    return colors * (1 + 0.07 * grain)[:, None]


def _fabric(colors: Floats, points: Floats, normals: Floats) -> Floats:
    return colors * (0.94 + 0.12 * _hash(np.floor(points * 90)))[:, None]


def _carpet(colors: Floats, points: Floats, normals: Floats) -> Floats:
    coarse, fine = _hash(np.floor(points * 9)), _hash(np.floor(points * 70))
    return colors * (0.88 + 0.08 * coarse + 0.14 * fine)[:, None]


def _tiles(colors: Floats, points: Floats, normals: Floats) -> Floats:
    flat = _flat(points, normals) / 0.2
    line = (np.abs(flat - np.rint(flat)) < 0.03).any(axis=1)
    tone = 0.96 + 0.05 * _hash(np.floor(flat))
    return colors * np.where(line, GROUT, tone)[:, None]


def _planks(colors: Floats, points: Floats, normals: Floats) -> Floats:
    flat = _flat(points, normals) / (0.14, 1.1)
    row = np.floor(flat[:, 0])
    shifted = flat[:, 1] + 0.37 * row
    gap = (np.abs(flat[:, 0] - np.rint(flat[:, 0])) < 0.035) | (
        np.abs(shifted - np.rint(shifted)) < 0.006
    )
    tone = 0.86 + 0.22 * _hash(np.stack([row, np.floor(shifted)], axis=1))
    grain = 0.03 * np.sin(160 * flat[:, 0] + 5 * np.sin(7 * shifted))
    return colors * (np.where(gap, GROUT, tone) + grain)[:, None]


def _books(colors: Floats, points: Floats, normals: Floats) -> Floats:
    spine = np.floor(_flat(points, normals)[:, :1] / 0.032)
    hues = np.stack([_hash(spine + shift) for shift in (0.0, 71.0, 139.0)], axis=1)
    return 0.35 * colors + 0.12 + 0.5 * hues


def _picture(colors: Floats, points: Floats, normals: Floats) -> Floats:
    u, v = _flat(points, normals).T
    waves = [np.sin(9 * u + 3 * np.sin(7 * v) + phase) for phase in (0.0, 2.1, 4.2)]
    return 0.5 * colors + 0.25 + 0.22 * np.stack(waves, axis=1)


def _flat(points: Floats, normals: Floats) -> Floats:
    """Two coordinates (N, 2) within each point's surface: along, and up or across."""
    floor = np.abs(normals[:, 2]) > 0.7
    facing_x = np.abs(normals[:, 0]) > np.abs(normals[:, 1])
    along = np.where(floor | ~facing_x, points[:, 0], points[:, 1])
    return np.stack([along, np.where(floor, points[:, 1], points[:, 2])], axis=1)


def _hash(cells: Floats) -> Floats:
    """A number in [0, 1) for each row of whole numbers, without a table."""
    weights = np.array([12.9898, 78.233, 37.719], cells.dtype)[: cells.shape[1]]
    value = np.sin(cells @ weights) * 43_758.5453
    return value - np.floor(value)


_TEXTURES = {
    "plain": _plain,
    "wood": _wood,
    "fabric": _fabric,
    "tiles": _tiles,
    "planks": _planks,
    "carpet": _carpet,
    "glass": _plain,
    "books": _books,
    "picture": _picture,
}
