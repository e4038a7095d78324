"""Back-projection against ScanNet's code, against plain numpy, and by hand."""

from pathlib import Path

import numpy as np
import pytest

from stages.geometry.projection import color_points, transform
from stages.precompute.recordings.backproject import (
    back_project,
    depth_limit,
    draw_pixels,
    repeat_to,
)
from tests.conftest import golden_files

GOLDEN = golden_files("backproject/*.npz")


def plain_back_projection(depth: np.ndarray, matrix: np.ndarray, shift: float) -> np.ndarray:
    """The geometry in five lines of numpy: `z = d / shift, x = (u - cx) z / fx`."""
    v, u = np.nonzero(depth)
    z = depth[v, u].astype(np.float64) / shift
    x = (u - matrix[0, 2]) * z / matrix[0, 0]
    y = (v - matrix[1, 2]) * z / matrix[1, 1]
    return np.stack([x, y, z], axis=1)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_points_are_scannets_and_open3ds(path: Path) -> None:
    golden = np.load(path)
    intrinsics = golden["intrinsic_depth"][:3, :3].astype(np.float64)
    shift = float(golden["depth_shift"])
    camera = back_project(golden["depth_u16"], intrinsics, depth_shift=shift)
    plain = plain_back_projection(golden["depth_u16"], intrinsics, shift)
    np.testing.assert_allclose(camera, plain, atol=2e-6 * max(1, plain.max(initial=0)))
    # Where the pose is lost, the reference leaves its points in the camera frame.
    pose = golden["camera_to_world"] if golden["pose_usable"] else np.eye(4)
    world = transform(camera, pose.astype(np.float64))
    tolerance = 2e-6 * np.maximum(1, plain[:, 2:])
    assert (np.abs(world - golden["scannet_points"]) <= tolerance).all()
    assert (np.abs(world - golden["open3d_points"]) <= tolerance).all()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_colors_are_scannets_registered_ones(path: Path) -> None:
    golden = np.load(path)
    intrinsics = golden["intrinsic_depth"].astype(np.float64)
    points = back_project(golden["depth_u16"], intrinsics, depth_shift=float(golden["depth_shift"]))
    colors, inside = color_points(
        points,
        golden["rgb_stb"],
        golden["intrinsic_color"].astype(np.float64),
        golden["extrinsic_depth"].astype(np.float64),
    )
    differ = (colors != golden["scannet_colors_rgb_u8"]).any(1)
    differ |= inside != golden["scannet_color_valid"]
    assert differ.sum() <= 0.001 * len(points)


def test_a_pixel_by_hand() -> None:
    depth = np.zeros((4, 5), np.uint16)
    depth[3, 1] = 2000
    intrinsics = np.array([[100.0, 0, 2], [0, 50, 1], [0, 0, 1]])
    point = back_project(depth, intrinsics, depth_shift=1000)
    np.testing.assert_allclose(point, [[-0.02, 0.08, 2.0]], atol=1e-7)


def test_no_truncation_at_any_distance() -> None:
    depth = np.full((2, 2), 65_535, np.uint16)
    points = back_project(depth, np.eye(3), depth_shift=1.0)  # 65.5 km
    assert len(points) == 4


def test_depth_limit_keeps_every_coordinate_in_range() -> None:
    intrinsics = np.array([[10.0, 0, 0], [0, 1000, 0], [0, 0, 1]])  # 80 degrees at the right edge
    limit = depth_limit(
        intrinsics, (64, 4), depth_shift=1000, max_depth_m=20, max_coordinate_m=32.7
    )
    assert limit.shape == (4, 64)
    assert (limit[:, 0] == 20_000).all()
    points = back_project(limit, intrinsics, depth_shift=1000)
    assert np.abs(points).max() <= 32.7 + 1e-3
    np.testing.assert_allclose(points[63, 0], 32.7, atol=0.01)


def test_65535_is_never_a_measurement() -> None:
    limit = depth_limit(
        np.eye(3) * 1e4, (2, 2), depth_shift=5000, max_depth_m=20, max_coordinate_m=32.7
    )
    assert (limit == 65_534).all()  # 13.1 m, nearer than max_depth_m


@pytest.mark.parametrize("num_points", [1, 7, 20, 29, 30, 50])
def test_draw_gives_distinct_usable_pixels(num_points: int) -> None:
    usable = np.zeros((6, 10), bool)
    usable.flat[::2] = True  # 30 of 60
    drawn = draw_pixels(usable, num_points, np.random.default_rng(0))
    assert drawn.sum() == min(num_points, 30)
    assert not (drawn & ~usable).any()


@pytest.mark.parametrize("num_points", [3, 9])
def test_draw_is_even(num_points: int) -> None:
    usable = np.ones((3, 4), bool)
    generator = np.random.default_rng(0)
    hits = sum(draw_pixels(usable, num_points, generator).astype(int) for _ in range(6000))
    expected = 6000 * num_points / 12
    assert np.abs(hits - expected).max() < 5 * np.sqrt(expected)


def test_repeat_keeps_every_point_first() -> None:
    points = np.arange(12.0).reshape(4, 3)
    filled = repeat_to(points, 11, np.random.default_rng(0))
    np.testing.assert_array_equal(filled[:4], points)
    _, counts = np.unique(filled[:, 0], return_counts=True)
    assert sorted(counts) == [2, 3, 3, 3]
    np.testing.assert_array_equal(repeat_to(points, 4, np.random.default_rng(0)), points)


def test_repeats_are_drawn_evenly() -> None:
    points = np.arange(3000.0).reshape(1000, 3)
    repeated = repeat_to(points, 1100, np.random.default_rng(0))[1000:, 0] / 3
    assert len(set(repeated)) == 100
    assert 400 < repeated.mean() < 600  # not only the first rows of the image


def test_color_lookup_by_hand() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    intrinsics = np.array([[1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
    points = np.array([[0.0, 0, 1], [1.4, 0.6, 1], [5, 0, 1], [0, 0, -1]])
    colors, inside = color_points(points, image, intrinsics, np.eye(4))
    assert inside.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(colors, [image[0, 1], image[1, 2], (0, 0, 0), (0, 0, 0)])
    moved = np.eye(4)
    moved[0, 3] = -1.0  # the colour camera is 1 m to the right
    np.testing.assert_array_equal(
        color_points(points[:1], image, intrinsics, moved)[0], [image[0, 0]]
    )
