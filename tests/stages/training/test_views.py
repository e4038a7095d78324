"""Clouds that follow the camera: upright by its pose, cut to the teacher's crop."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.training.pairs import load_pairs
from stages.training.views import Views, load_views, upright_rotation
from tests.pairs_world import write_world

CPU = torch.device("cpu")
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


def test_what_the_crop_shows() -> None:
    """A colour image of 100 x 60, focal length 50, beside the depth camera by 10 cm."""
    projection = torch.tensor([[50.0, 0, 49.5], [0, 50, 29.5], [0, 0, 1]]) @ torch.cat(
        [torch.eye(3), torch.tensor([[0.1], [0], [0]])], dim=1
    )
    center, half = torch.tensor([[49.5, 29.5]]), torch.tensor([[30.0, 30.0]])
    views = Views(torch.eye(3)[None], projection[None], center, half, torch.tensor([True]))
    # At a depth of 1 m the crop spans 0.6 m to each side, seen from the colour camera.
    points = torch.tensor([[[0.0, 0, 1], [0.49, 0, 1], [0.51, 0, 1], [-0.69, 0, 1],
                            [-0.71, 0, 1], [0, 0.59, 1], [0, 0.61, 1], [0, 0, -1]]])  # fmt: skip
    seen = views.in_view(points, torch.tensor([0]))
    assert seen.tolist() == [[True, True, False, True, False, True, False, False]]


def test_views_follow_the_pairs(tmp_path: Path) -> None:
    write_world(tmp_path, train=2, val=1, frames=3)
    pairs = load_pairs(tmp_path / "points.zarr", tmp_path / "teacher/t.zarr", ("train",), CPU)
    views = load_views(tmp_path / "frames", pairs, "center")
    assert views.pose_valid.tolist() == [False, True, True] * 2
    assert views.half.tolist() == [[24, 24]] * 6
    assert load_views(tmp_path / "frames", pairs, "squash").half.tolist() == [[32, 24]] * 6
    points = torch.tensor([[[0.0, 0, 3], [0, 1, 3]]]).expand(6, -1, -1)
    turned = views.turn_upright(points, torch.arange(6))
    torch.testing.assert_close(turned[1], torch.tensor([[0.0, 3, 0], [0, 3, -1]]))
    torch.testing.assert_close(turned[0], turned[1])  # a lost pose is taken for level
    fewer = views.only(views.pose_valid)
    assert len(fewer.upright) == 4
