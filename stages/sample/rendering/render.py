"""Casts rays into a room with Open3D: colour as a camera sees it, depth as a sensor measures it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.geometry.meshes import Floats, normals
from stages.sample.rendering.shading import light, textured
from stages.sample.things.pieces import FINISHES, Part
from stages.sample.things.primitives import merged
from stages.sources.open3d_library import load_open3d

GLASS = FINISHES.index("glass")
NOTHING = -1
# A structured-light sensor: nothing nearer or farther, nothing at a grazing angle or in glass.
NEAR_M, FAR_M, GRAZING, JUMP_M = 0.4, 6.0, 0.12, 0.06
_GAMMA = np.rint(255 * (np.arange(1024) / 1023) ** 0.8).astype(np.uint8)

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """All surfaces of a room, ready for rays; arrays are per triangle."""

    rays: Any  # open3d.t.geometry.RaycastingScene
    owner: NDArray[np.int64]  # (F,) index of the object it belongs to
    color: Singles  # (F, 3)
    finish: NDArray[np.int8]  # (F,)
    normal: Singles  # (F, 3)
    lamp: Singles  # (3,)


@dataclass(frozen=True)
class Camera:
    """A pinhole: (fx, fy, cx, cy) in pixels, size (width, height), pixel centres at integers."""

    fx: float
    fy: float
    cx: float
    cy: float
    size: tuple[int, int]

    @cached_property
    def directions(self) -> Singles:
        """Rays (H * W, 3) in the camera's frame, one metre along the optical axis each."""
        width, height = self.size
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        x, y = (u - self.cx) / self.fx, (v - self.cy) / self.fy
        return np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3).astype(np.float32)


@dataclass(frozen=True)
class View:
    """What one camera sees; the arrays are flat, one entry a pixel in row-major order."""

    size: tuple[int, int]  # width, height
    eye: Singles  # (3,)
    directions: Singles  # (H * W, 3) world, one metre along the optical axis each
    depth: Singles  # (H * W,) metres along the optical axis, inf: nothing
    triangle: NDArray[np.int64]  # (H * W,), 0 where there is nothing

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Where a surface was met, (H * W,)."""
        return np.isfinite(self.depth)


def build_world(objects: Sequence[Sequence[Part]], lamp: Floats) -> World:
    """Collect the parts of all objects, in world coordinates."""
    open3d = load_open3d()
    parts = [(owner, part) for owner, group in enumerate(objects) for part in group]
    mesh = merged([part.mesh for _, part in parts])
    counts = [len(part.mesh.faces) for _, part in parts]
    rays = open3d.t.geometry.RaycastingScene()
    rays.add_triangles(
        open3d.core.Tensor(mesh.vertices.astype(np.float32)),
        open3d.core.Tensor(mesh.faces.astype(np.uint32)),
    )
    colors = np.array([part.color for _, part in parts], np.float32)
    return World(
        rays=rays,
        owner=np.repeat([owner for owner, _ in parts], counts),
        color=np.repeat(colors, counts, axis=0),
        finish=np.repeat([FINISHES.index(p.finish) for _, p in parts], counts).astype(np.int8),
        normal=normals(mesh).astype(np.float32),
        lamp=lamp.astype(np.float32),
    )


def look(world: World, camera: Camera, camera_to_world: Floats) -> View:
    """Cast one ray through each pixel; `camera_to_world` is (4, 4), OpenCV axes."""
    pose = camera_to_world.astype(np.float32)
    directions = camera.directions @ pose[:3, :3].T
    depth, triangle = _cast(world, pose[:3, 3], directions)
    return View(camera.size, pose[:3, 3], directions, depth, triangle)


def owners(world: World, view: View) -> NDArray[np.int64]:
    """The object that each pixel shows, (H, W); -1 where there is nothing."""
    width, height = view.size
    return np.where(view.hit, world.owner[view.triangle], NOTHING).reshape(height, width)


def color_image(world: World, view: View) -> NDArray[np.uint8]:
    """Shade a view: (H, W, 3) RGB, with light, shadow and texture."""
    width, height = view.size
    depth = np.where(view.hit, view.depth, 1)[:, None]
    points = view.eye + view.directions * depth
    normal = np.take(world.normal, view.triangle, axis=0)
    away = np.einsum("ij,ij->i", normal, view.directions) > 0
    np.negative(normal, out=normal, where=away[:, None])
    finish = world.finish[view.triangle]
    shade = light(points, normal, world.lamp, _shadowed(world, points, normal))
    shade[finish == GLASS] = 1
    shade[~view.hit] = 0
    image = textured(np.take(world.color, view.triangle, axis=0), points, normal, finish)
    image *= (shade * len(_GAMMA))[:, None]
    tones = _GAMMA[np.clip(image, 0, len(_GAMMA) - 1, out=image).astype(np.int16)]
    return tones.reshape(height, width, 3)


def sensed_depth(
    world: World, view: View, generator: np.random.Generator, *, depth_shift: float
) -> NDArray[np.uint16]:
    """What a structured-light sensor returns, (H, W) raw units; 0 where it measures nothing.

    Noise grows with the square of depth, after Nguyen et al., "Modeling Kinect Sensor Noise for
    Improved 3D Reconstruction and Tracking" (2012): 1.2 mm + 1.9 mm (z - 0.4)^2.
    """
    width, height = view.size
    depth = np.where(view.hit, view.depth, 0).reshape(height, width)
    deviation = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    noisy = depth + generator.standard_normal(depth.shape, np.float32) * deviation
    towards = np.einsum("ij,ij->i", world.normal[view.triangle], view.directions)
    facing = np.abs(towards) / np.linalg.norm(view.directions, axis=1)
    glass = (world.finish[view.triangle] == GLASS).reshape(height, width)
    chance = generator.random(depth.shape, np.float32)
    lost = (
        (depth < NEAR_M)
        | (depth > FAR_M)
        | (facing.reshape(height, width) < GRAZING + 0.08 * chance)
        | glass
        | (_jumps(depth) & (chance < 0.55))
        | (chance < 0.004)
    )
    return np.where(lost, 0, np.rint(noisy * depth_shift)).astype(np.uint16)


def _jumps(depth: Singles) -> NDArray[np.bool_]:
    """Mark both pixels of every step in depth (H, W), where real sensors mix near and far."""
    jump = np.zeros(depth.shape, bool)
    down = np.abs(np.diff(depth, axis=0)) > JUMP_M
    right = np.abs(np.diff(depth, axis=1)) > JUMP_M
    jump[:-1] |= down
    jump[1:] |= down
    jump[:, :-1] |= right
    jump[:, 1:] |= right
    return jump


def visible(world: World, points: Floats, eyes: Floats, *, margin_m: float = 0.02) -> NDArray[Any]:
    """Say which points (N, 3) any of the eyes (E, 3) sees without something in between, (N,)."""
    seen = np.zeros(len(points), bool)
    for eye in eyes.astype(np.float32):
        left = np.flatnonzero(~seen)
        towards = points[left].astype(np.float32) - eye
        distance, _ = _cast(world, eye, towards)
        length = np.linalg.norm(towards, axis=1)
        seen[left] = distance * length > length - margin_m
    return seen


def _shadowed(world: World, points: Singles, normal: Singles) -> NDArray[np.bool_]:
    """Say where something stands between a point (N, 3) and the lamp, or its back faces it, (N,)."""
    open3d = load_open3d()
    towards = world.lamp - points
    shadowed = np.einsum("ij,ij->i", towards, normal) <= 0
    facing = np.flatnonzero(~shadowed)  # only there light makes a difference
    rays = np.empty((len(facing), 6), np.float32)
    rays[:, :3], rays[:, 3:] = points[facing] + 0.01 * normal[facing], towards[facing]
    blocked = world.rays.test_occlusions(open3d.core.Tensor(rays), tfar=0.98)
    shadowed[facing] = blocked.numpy()
    return shadowed


def _cast(world: World, origin: Singles, directions: Singles) -> tuple[Singles, NDArray[np.int64]]:
    """Return the distance in units of the direction (inf: nothing) and the triangle (0 then)."""
    open3d = load_open3d()
    rays = np.empty((len(directions), 6), np.float32)
    rays[:, :3], rays[:, 3:] = origin, directions
    hits = world.rays.cast_rays(open3d.core.Tensor(rays))
    distance = hits["t_hit"].numpy()
    triangle = hits["primitive_ids"].numpy().astype(np.int64)
    triangle[np.isinf(distance)] = 0
    return distance, triangle
