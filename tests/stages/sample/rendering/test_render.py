"""Rays, the depth sensor's faults, and shading, on a room one can do by hand."""

import numpy as np
import pytest

from stages.sample.rendering.render import (
    Camera,
    World,
    build_world,
    color_image,
    look,
    owners,
    sensed_depth,
    visible,
)
from stages.sample.things.pieces import Part
from stages.sample.things.primitives import box

CAMERA = Camera(80.0, 80.0, 39.5, 29.5, (80, 60))
# Looks along +y from 2 m before a wall; a box stands 1 m before the wall.
POSE = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.0], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def world() -> World:
    wall = Part("wall", box((10, 0.1, 10), (0, 2.05, -4)), (0.5, 0.5, 0.5))
    block = Part("block", box((0.4, 0.2, 0.4), (0, 1.1, 0.8)), (1.0, 0.0, 0.0))
    pane = Part("pane", box((0.3, 0.02, 0.3), (1, 1.98, 1)), (0.8, 0.9, 1.0), "glass")
    return build_world([[wall], [block], [pane]], np.array([0.0, 0.0, 3.0]))


def test_depth_is_along_the_optical_axis(world: World) -> None:
    view = look(world, CAMERA, POSE)
    depth, owner = view.depth.reshape(60, 80), owners(world, view)
    np.testing.assert_allclose(depth[owner == 0], 2.0, atol=1e-4)
    assert (owner == 1).sum() == pytest.approx((0.4 * 80) ** 2, rel=0.1)
    np.testing.assert_allclose(depth[30, 40], 1.0, atol=1e-4)
    assert owner[30, 40] == 1


def test_nothing_is_infinitely_far(world: World) -> None:
    backwards = POSE.copy()
    backwards[:3, [0, 2]] *= -1
    view = look(world, CAMERA, backwards)
    assert not view.hit.any()
    assert (owners(world, view) == -1).all()
    assert not color_image(world, view).any()
    assert not sensed_depth(world, view, np.random.default_rng(0), depth_shift=1000).any()


def test_the_sensor_is_noisy_and_blind_to_glass_and_edges(world: World) -> None:
    view = look(world, CAMERA, POSE)
    owner = owners(world, view)
    depth = sensed_depth(world, view, np.random.default_rng(0), depth_shift=1000)
    assert depth.dtype == np.uint16
    assert not depth[owner == 2].any()
    wall = depth[(owner == 0) & (depth > 0)]
    assert wall.mean() == pytest.approx(2000, abs=2)
    assert wall.std() == pytest.approx(1.2 + 1.9 * 1.6**2, rel=0.1)
    edge = np.zeros_like(owner, bool)
    edge[:, 1:] = np.diff(owner, axis=1) != 0
    assert (depth[edge] == 0).mean() > 0.3
    assert (depth[(owner == 0) & ~edge] == 0).mean() < 0.1


def test_too_near_and_too_far_is_nothing(world: World) -> None:
    for y in (1.7, -5.0):
        pose = POSE.copy()
        pose[1, 3] = y
        pose[0, 3] = 3.0  # beside the block
        depth = sensed_depth(
            world, look(world, CAMERA, pose), np.random.default_rng(0), depth_shift=1000
        )
        assert not depth[25:35, 35:45].any()


def test_shading_keeps_hues_and_casts_shadows(world: World) -> None:
    view = look(world, CAMERA, POSE)
    image, owner = color_image(world, view), owners(world, view)
    red = image[owner == 1]
    assert (red[:, 0] > 60).all()
    assert not red[:, 1:].any()
    wall = image[owner == 0]
    assert wall.min() < 0.8 * wall.max()  # the block's shadow and falling light


def test_what_is_behind_is_not_visible(world: World) -> None:
    points = np.array([[0.0, 1.99, 1.0], [1.5, 1.99, 1.0], [0.0, 0.99, 1.0]])
    eye = np.array([[0.0, 0.0, 1.0]])
    assert visible(world, points, eye).tolist() == [False, True, True]
    both = np.array([[0.0, 0.0, 1.0], [0.0, 1.5, 1.0]])
    assert visible(world, points, both).tolist() == [True, True, True]
