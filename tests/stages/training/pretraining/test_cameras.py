"""Clouds that follow the camera: turned by its pose, cut to the teacher's crop."""

from pathlib import Path

import torch

from cache.scene_group import Listing
from stages.training.pretraining.cameras import Views, load_views
from stages.training.pretraining.pairs import load_pairs
from tests.worlds.pairs import write_world

CPU = torch.device("cpu")


def listed(root: Path) -> tuple[Listing, Listing]:
    return Listing.read(root / "points.zarr"), Listing.read(root / "teacher" / "t.zarr")


def test_what_the_crop_shows() -> None:
    """A colour image of 100 x 60, focal length 50, beside the depth camera by 10 cm."""
    projection = torch.tensor([[50.0, 0, 49.5], [0, 50, 29.5], [0, 0, 1]]) @ torch.cat(
        [torch.eye(3), torch.tensor([[0.1], [0], [0]])], dim=1
    )
    center, half = torch.tensor([[49.5, 29.5]]), torch.tensor([[30.0, 30.0]])
    views = Views(
        torch.eye(3)[None], projection[None], center, half, torch.tensor([True]), torch.eye(3)[None]
    )
    # At a depth of 1 m the crop spans 0.6 m to each side, seen from the colour camera.
    points = torch.tensor([[[0.0, 0, 1], [0.49, 0, 1], [0.51, 0, 1], [-0.69, 0, 1],
                            [-0.71, 0, 1], [0, 0.59, 1], [0, 0.61, 1], [0, 0, -1]]])  # fmt: skip
    seen = views.in_view(points, torch.tensor([0]))
    assert seen.tolist() == [[True, True, False, True, False, True, False, False]]


def test_views_follow_the_pairs(tmp_path: Path) -> None:
    write_world(tmp_path, train=2, val=1, frames=3)
    pairs = load_pairs(*listed(tmp_path), ("train",), CPU)
    views = load_views(tmp_path / "frames", pairs, "center", 24)
    assert views.pose_valid.tolist() == [False, True, True] * 2
    assert views.half.tolist() == [[24, 24]] * 6
    assert load_views(tmp_path / "frames", pairs, "squash", 24).half.tolist() == [[32, 24]] * 6
    points = torch.tensor([[[0.0, 0, 3], [0, 1, 3]]]).expand(6, -1, -1)
    turned = views.turn_upright(points, torch.arange(6))
    torch.testing.assert_close(turned[1], torch.tensor([[0.0, 3, 0], [0, 3, -1]]))
    torch.testing.assert_close(turned[0], turned[1])  # a lost pose is taken for level
    fewer = views.only(views.pose_valid)
    assert len(fewer.upright) == 4


def test_another_axis_is_up(tmp_path: Path) -> None:
    """The camera looks along y with its x to the right: with x up, its right is up."""
    write_world(tmp_path, train=1, val=0, frames=2)
    pairs = load_pairs(*listed(tmp_path), ("train",), CPU)
    views = load_views(tmp_path / "frames", pairs, "center", 24, "x")
    points = torch.tensor([[[1.0, 0, 3]]]).expand(2, -1, -1)
    turned = views.turn_upright(points, torch.arange(2))
    torch.testing.assert_close(turned[1], torch.tensor([[0.0, 3, 1]]))
    torch.testing.assert_close(turned[0], torch.tensor([[1.0, 3, 0]]))  # lost: taken for level
