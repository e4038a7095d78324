"""Which way is up: rotations that stand clouds upright, and floors that are not level after all."""

from functools import cache

import numpy as np
import pytest
import torch

from stages.training.pretraining.config import Up
from stages.training.pretraining.pairs import Pairs
from stages.training.pretraining.upright import AXES, up_axis, upright_rotation, warn_if_not_level
from tests.worlds.recordings import DEPTH_INTRINSICS, DEPTH_SIZE, look_at, make_room, render

# A camera that looks along the world's +x, level: its right is world -y, its down world -z.
LEVEL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def about_x(degrees: float) -> np.ndarray:
    """A pitch of the camera, in its own frame."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@pytest.mark.parametrize("pitch", [0, 30, -30, 80])
@pytest.mark.parametrize("yaw", [0, 77])
def test_upright_is_level_and_looks_ahead(pitch: float, yaw: float) -> None:
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    camera_to_world = turn @ LEVEL @ about_x(pitch)
    upright = upright_rotation(camera_to_world)
    np.testing.assert_allclose(upright @ upright.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(upright) == pytest.approx(1)
    up_in_camera = camera_to_world.T @ [0, 0, 1]
    np.testing.assert_allclose(upright @ up_in_camera, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(upright @ [1, 0, 0], [1, 0, 0], atol=1e-12)  # the image's right
    assert (upright @ [0, 0, 1])[1] > 0  # what was ahead still is


@pytest.mark.parametrize(("pitch", "edge"), [(-90, [0, -1, 0]), (90, [0, 1, 0])])
def test_straight_down_and_up(pitch: float, edge: list[float]) -> None:
    camera_to_world = LEVEL @ about_x(pitch)
    looks_down = camera_to_world[2, 2] < 0
    np.testing.assert_allclose(
        upright_rotation(camera_to_world) @ np.array([0, -1, 0] if looks_down else [0, 1, 0]),
        [0, 1, 0], atol=1e-9,
    )  # fmt: skip
    np.testing.assert_allclose(upright_rotation(camera_to_world) @ edge, [0, 1, 0], atol=1e-9)


@pytest.mark.parametrize("up", AXES)
def test_any_axis_can_be_up(up: Up) -> None:
    upright = upright_rotation(LEVEL @ about_x(30), up)
    np.testing.assert_allclose(upright @ upright.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(upright) == pytest.approx(1)
    seen = (LEVEL @ about_x(30)).T @ up_axis(up)
    np.testing.assert_allclose(upright @ seen, [0, 0, 1], atol=1e-12)


FRAMES = 24


@cache
def recorded() -> tuple[np.ndarray, np.ndarray]:
    """Points (F, P, 3) metres of rooms, and rotations (F, 3, 3) of the hand-held camera; z is up."""
    generator = np.random.default_rng(0)
    clouds, poses = [], []
    u, v = np.meshgrid(*map(np.arange, DEPTH_SIZE))
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(DEPTH_INTRINSICS[:3, :3]).T
    for number in range(FRAMES):
        room = make_room(np.random.default_rng(number // 6))
        eye = room.boxes[0, 1] * (0.5, 0.5, 0.6)
        angle = generator.uniform(0, 2 * np.pi)
        ahead = np.array([np.cos(angle), np.sin(angle), generator.uniform(-0.7, 0.1)])
        pose = look_at(eye, eye + ahead)
        depth, _ = render(room, pose, DEPTH_INTRINSICS, DEPTH_SIZE)
        clouds.append((rays * depth[..., None]).reshape(-1, 3))
        poses.append(pose[:3, :3])
    return np.stack(clouds), np.stack(poses)


def said(world: np.ndarray, up: Up, clouds: np.ndarray | None = None) -> str:
    """What is said of rooms whose world was turned by a matrix (3, 3)."""
    points, rotations = recorded()
    points = points if clouds is None else clouds
    millimetres = torch.from_numpy(np.rint(points * 1000).astype(np.int16))
    numbers = torch.arange(len(points))
    pairs = Pairs(millimetres, torch.zeros(len(points), 1, 1), numbers, numbers, (), numbers.device)
    lines: list[str] = []
    turned = torch.from_numpy(world @ rotations[: len(points)]).float()
    warn_if_not_level(pairs, turned, up, lines.append)
    return "".join(lines)


# Each of the world's axes that could be up, and the turn that brings z there.
TURNS: dict[Up, np.ndarray] = {
    "z": np.eye(3),
    "-z": np.diag([1.0, -1, -1]),
    "y": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "-y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "x": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "-x": np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
}


@pytest.mark.parametrize("true", AXES)
def test_rooms_whose_walls_follow_the_axes_tell_which_is_up(true: Up) -> None:
    """Then every axis has level patches: how the camera was held tells them apart."""
    np.testing.assert_allclose(TURNS[true] @ [0, 0, 1], up_axis(true))
    for up in AXES:
        line = said(TURNS[true], up)
        assert (line == "") == (up == true), line
        if up != true:
            assert f"with up: {up} the floor is not level" in line
            assert line.endswith(f"--set pretrain.up={true}")


@pytest.mark.parametrize("degrees", [20, 35])
def test_a_world_that_stands_askew_has_no_axis_that_is_up(degrees: float) -> None:
    turn = about_x(degrees) @ np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    for up in AXES:
        assert said(turn, up).endswith("--set pretrain.frame=camera")


def test_a_room_that_is_turned_about_the_vertical_is_level() -> None:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    assert said(turn, "z") == ""
    assert said(turn, "x").endswith("--set pretrain.up=z")


def test_of_clouds_without_flat_patches_nothing_is_said() -> None:
    clouds = np.random.default_rng(0).uniform(-1, 1, (3, 512, 3))
    assert said(TURNS["x"], "z", clouds) == ""
