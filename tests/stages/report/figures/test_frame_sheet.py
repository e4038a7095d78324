"""Depth edges over a frame's image, which must not be stretched: wrong intrinsics show."""

from typing import Any

import numpy as np
import pytest

from stages.report.figures.depth_edges import COLOR, draw_dots, front_edges
from stages.report.figures.drawing import BACKGROUND, TILE, letterbox
from stages.report.figures.frame_sheet import _with_depth_edges

DEPTH = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])
SIZE = (320, 240)
# In pixels of the depth camera: a card before a wall, to the right of the middle.
CARD = (200, 90, 280, 190)  # left, top, right, bottom


def back_projected(depth: np.ndarray, share: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) of some pixels of a depth image (H, W) in metres, and the pixels (N, 2)."""
    drawn = np.random.default_rng(0).random(depth.shape) < share
    v, u = np.nonzero(drawn)
    pixels = np.stack([u, v], axis=1)
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(DEPTH).T
    return rays * depth[drawn][:, None], pixels


def card_before_wall() -> np.ndarray:
    depth = np.full(SIZE[::-1], 3.0)
    left, top, right, bottom = CARD
    depth[top:bottom, left:right] = 1.5
    return depth


def test_front_edges_are_at_the_rim_of_what_is_in_front() -> None:
    points, pixels = back_projected(card_before_wall())
    edges = front_edges(points, DEPTH, SIZE)
    left, top, right, bottom = CARD
    on_card = points[:, 2] < 2
    from_rim = np.minimum.reduce(
        [pixels[:, 0] - left, right - 1 - pixels[:, 0], pixels[:, 1] - top, bottom - 1 - pixels[:, 1]]
    )  # fmt: skip
    assert not edges[~on_card].any()
    assert edges[on_card & (from_rim == 0)].mean() > 0.95
    assert not edges[on_card & (from_rim > 6)].any()  # two cells of three pixels


@pytest.mark.parametrize(("height_m", "most"), [(0.5, 0.01), (1.0, 0), (1.5, 0)])
def test_a_floor_has_no_edges(height_m: float, most: float) -> None:
    v = np.arange(SIZE[1])[:, None].repeat(SIZE[0], axis=1)
    depth = height_m * 300 / (v - 119.5).clip(min=20)
    points, pixels = back_projected(depth)
    below = pixels[:, 1] > 145
    assert front_edges(points[below], DEPTH, SIZE).mean() <= most


def rim_distance(color_intrinsics: np.ndarray) -> float:
    """How far, on average, the dots lie from the card's rim in the image, in the tile's pixels."""
    color = np.array([[600.0, 0, 359.5], [0, 600, 239.5], [0, 0, 1]])  # 720 x 480, 3:2
    image = np.zeros((480, 720, 3), np.uint8)
    offset = np.array([359.5 - 2 * 159.5, 239.5 - 2 * 119.5])
    (left, top), (right, bottom) = (
        np.rint(2 * np.array(corner) + offset).astype(int) for corner in (CARD[:2], CARD[2:])
    )
    image[top:bottom, left:right] = 200
    points, _ = back_projected(card_before_wall())
    row: dict[str, Any] = {
        "depth_intrinsics": DEPTH.ravel(),
        "depth_size": SIZE,
        "depth_to_color": np.eye(4).ravel(),
        "color_intrinsics": (color * color_intrinsics).ravel(),
    }
    tile = _with_depth_edges(row, image, points)
    _, scale, shift = letterbox(image)
    dots = np.argwhere((tile == COLOR).all(axis=-1))[:, ::-1]
    assert len(dots) > 50
    low, high = np.array([left, top]) * scale + shift, np.array([right, bottom]) * scale + shift
    outside = np.maximum(np.maximum(low - dots, dots - high), 0).max(axis=1)
    inside = np.minimum(dots - low, high - dots).min(axis=1).clip(min=0)
    return float(np.maximum(outside, inside).mean())


def test_wrong_intrinsics_take_the_dots_off_the_edges() -> None:
    right = np.ones((3, 3))
    wrong = right.copy()
    wrong[0, 0] = 1.2
    assert rim_distance(right) < 3
    assert rim_distance(wrong) > 6


@pytest.mark.parametrize(("width", "height"), [(640, 480), (720, 480), (300, 900)])
def test_images_are_not_stretched(width: int, height: int) -> None:
    image = np.full((height, width, 3), 250, np.uint8)
    tile, scale, shift = letterbox(image)
    assert tile.shape == (TILE[1], TILE[0], 3)
    rows, columns = np.nonzero((tile == 250).all(axis=-1))
    drawn = (np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert drawn[0] / drawn[1] == pytest.approx(width / height, rel=0.01)
    assert drawn[0] == TILE[0] or drawn[1] == TILE[1]
    assert (width, height) == (640, 480) or tuple(tile[0, 0]) == BACKGROUND
    # The first pixel's outer corner is the picture's.
    corner = np.array([-0.5, -0.5]) * scale + shift + 0.5
    np.testing.assert_allclose(corner, [columns.min(), rows.min()], atol=1e-9)


def test_dots_beyond_the_tile_are_left_out() -> None:
    tile = np.zeros((4, 6, 3), np.uint8)
    drawn = draw_dots(tile, np.array([[1.2, 2.9], [-5, 1], [5, 3], [9, 9]]))
    assert {tuple(p) for p in np.argwhere(drawn[..., 0] > 0)} == {
        (2, 1), (2, 2), (3, 1), (3, 2), (3, 5),
    }  # fmt: skip
    assert not tile.any()
