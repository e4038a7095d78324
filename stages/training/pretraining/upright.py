"""Which way is up: clouds turned upright by their camera's pose, and whether the floor is level then.

A recording's world need not stand upright: ScanNet's z is up, SUN3D's y is down, 7-Scenes' axes are
those of its first camera and not level at all.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.loop.random_numbers import plain_draws
from stages.training.augment import draw_points, turned
from stages.training.pretraining.config import Up
from stages.training.pretraining.pairs import Pairs
from stages.training.pretraining.ridge import flat_patches

AXES: tuple[Up, ...] = ("z", "-z", "y", "-y", "x", "-x")
# How the floor is judged: in so many frames, by patches of so many points.
FRAMES, POINTS, FEWEST_PATCHES = 64, 4096, 100
ANGLE_DEGREES = 10.0  # from level or upright that a flat patch may be
# Of rooms 0.9 and more of the flat patches are level or upright, of turned ones 0.2 to 0.5.
LEVEL_SHARE = 0.6
# Of the image's upper edge along the world's up, the mean over frames: 1 for a level camera, 0 along
# axes about which the camera turns.
HELD_DIFFERENCE = 0.5


def up_axis(up: Up) -> NDArray[np.float64]:
    """The world's axis that is up, (3,)."""
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1.0 if up.startswith("-") else 1.0
    return axis


def upright_rotation(camera_to_world: NDArray[np.float64], up: Up = "z") -> NDArray[np.float64]:
    """Return the rotation (3, 3) from the camera's frame (x right, y down, z forward) to upright.

    Upright is x right, y level in the direction of view, z up; `up` is the world's axis that is up.
    Looking straight down (or up), the image's upper (or lower) edge tells the direction.
    """
    above = up_axis(up) @ camera_to_world  # the world's up as the camera sees it
    for ahead in (np.array([0.0, 0.0, 1.0]), np.array([0.0, np.sign(above[2]), 0.0])):
        level = ahead - above * (above @ ahead)
        length = float(np.linalg.norm(level))
        if length > 0.1:
            break
    level /= length
    return np.stack([np.cross(level, above), level, above])


def warn_if_not_level(
    pairs: Pairs, camera_to_world: Tensor, up: Up, say: Callable[[str], None]
) -> None:
    """Say so if `up` does not seem to be up, and which of the world's axes is, if one is.

    `camera_to_world` (N, 3, 3) are rotations, pairs' poses valid. In rooms nearly all flat patches are
    level or upright; and whoever records turns the camera about the vertical more than about
    anything else. Of few flat patches nothing is said.
    """
    rows = torch.linspace(0, len(pairs) - 1, min(FRAMES, len(pairs))).long()
    points = pairs.metres(rows)
    count = min(POINTS, points.shape[1])
    points = draw_points(points, count, plain_draws(0, len(rows), points.device))
    rotations = camera_to_world[rows.to(camera_to_world.device)].to(points)
    normals, flat = flat_patches(points)
    normals = turned(normals, rotations)[flat]
    if len(normals) < FEWEST_PATCHES:
        return
    share = {axis: _level_share(normals, axis) for axis in AXES}
    held = {axis: _held(rotations, axis) for axis in AXES}
    most = max(held.values())
    if share[up] >= LEVEL_SHARE and held[up] > most - HELD_DIFFERENCE:
        return
    others = [a for a in AXES if share[a] >= LEVEL_SHARE and held[a] > most - HELD_DIFFERENCE]
    better = max(others, key=lambda axis: held[axis], default=None)
    way = f"up: {better} fits: --set pretrain.up={better}"
    say(
        f"warning: with up: {up} the floor is not level: {share[up]:.0%} of the flat patches are level "
        f"or upright (in rooms 90%), and the camera was held {held[up]:.2f} upright (1 is upright, -1 "
        f"upside down). {way if better else 'No axis of this world is up: --set pretrain.frame=camera'}"
    )


def _level_share(normals: Tensor, up: Up) -> float:
    """The share of normals (K, 3) in the world's frame that are near up, or near level."""
    along = (normals @ torch.from_numpy(up_axis(up)).to(normals)).abs()
    sine, cosine = np.sin(np.radians(ANGLE_DEGREES)), np.cos(np.radians(ANGLE_DEGREES))
    return float(((along > cosine) | (along < sine)).float().mean())


def _held(rotations: Tensor, up: Up) -> float:
    """How much of the image's upper edge, -y of the camera, is along the world's up; mean."""
    axis = torch.from_numpy(up_axis(up)).to(rotations)
    return float(-(axis @ rotations)[:, 1].mean())
