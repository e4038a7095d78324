"""Which image patch belongs to which 3D patch, on a scene made by hand.

A teacher of 4 x 4 patches sees all of a 40 x 40 image (focal length 20, middle at 19.5) whose camera is
10 cm to the left of the depth camera: a point at depth z and x falls at (x + 0.1) / z * 20 + 19.5.
"""

import pytest
import torch

from stages.training.pretraining.cameras import Views, inside_window
from stages.training.pretraining.objectives.alignment import (
    cells_at,
    hidden,
    nearest_patches,
)

ROW = torch.tensor([0])


def views() -> Views:
    intrinsics = torch.tensor([[20.0, 0, 19.5], [0, 20, 19.5], [0, 0, 1]])
    beside = torch.cat([torch.eye(3), torch.tensor([[0.1], [0], [0]])], dim=1)
    middle, half = torch.tensor([[19.5, 19.5]]), torch.tensor([[20.0, 20.0]])
    known = torch.tensor([True])
    return Views(torch.eye(3)[None], (intrinsics @ beside)[None], middle, half, known, torch.eye(3)[None])  # fmt: skip


def test_points_fall_where_both_cameras_say() -> None:
    points = torch.tensor([[[-0.1, 0, 1], [0.4, -0.5, 1], [0.9, 0, 2], [1.0, 0, 1], [0, 0, -1]]])
    where, depth = views().project(points, ROW)
    assert depth.tolist() == [[1, 1, 2, 1, -1]]
    # On the axis of the colour camera; half a metre to the right and above; the same at twice the depth.
    torch.testing.assert_close(where[0, :3], torch.tensor([[0.5, 0.5], [0.75, 0.25], [0.75, 0.5]]))
    assert inside_window(where, depth).tolist() == [[True, True, True, False, False]]
    assert cells_at(where[:, :3], 4).tolist() == [[10, 7, 11]]


def test_each_image_patch_takes_its_nearest() -> None:
    # Middles are at 1/8, 3/8, 5/8, 7/8. Patch 0 lies at the middle of cell 5, 1 and 2 in cell 7.
    where = torch.tensor([[[0.375, 0.375], [0.80, 0.375], [0.99, 0.375], [0.625, 0.875]]])
    seen = torch.tensor([[True, True, True, False]])
    index, found = nearest_patches(where, seen, 4, reach_cells=0.5)
    assert found.nonzero()[:, 1].tolist() == [5, 7]
    assert index[0, [5, 7]].tolist() == [0, 1]
    _, within_one = nearest_patches(where, seen, 4, reach_cells=1.0)
    # Also the four beside 5 (one width away), and the two above and below of 7's: (0.80, 0.375) is 0.3
    # widths beside their middles, so further than one; and 6, whose middle is 0.7 from patch 1.
    assert within_one.nonzero()[:, 1].tolist() == [1, 4, 5, 6, 7, 9]
    assert index[0, 6] == 1
    index, everywhere = nearest_patches(where, seen, 4, reach_cells=None)
    assert everywhere.all()
    assert 3 not in index.tolist()[0]  # which is not seen
    _, none = nearest_patches(where, torch.zeros(1, 4, dtype=torch.bool), 4, reach_cells=None)
    assert not none.any()


def test_what_is_behind_is_hidden() -> None:
    # A wall at 4 m, a box at 2 m before its middle, and points on the wall and the box.
    side = torch.linspace(0.02, 0.98, 40)
    wall = torch.cartesian_prod(side, side)
    box = torch.cartesian_prod(side[15:25], side[15:25])
    where = torch.cat([wall, box])[None]
    depth = torch.cat([torch.full((1600,), 4.0), torch.full((100,), 2.0)])[None]
    asked = torch.tensor([[[0.5, 0.5], [0.5, 0.5], [0.1, 0.5], [0.1, 0.5]]])
    behind = hidden(asked, torch.tensor([[4.0, 2.0, 4.0, 4.3]]), where, depth, 0.1)
    assert behind.tolist() == [[True, False, False, False]]  # 4.3 is within a tenth of 4


def test_projection_by_brute_force() -> None:
    """Each number of a random scene, in float64 and one by one."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(1, 50, 3, generator=generator) * 0.6 + torch.tensor([0, 0, 1.5])
    own = views()
    where, depth = own.project(points, ROW)
    for number, (x, y, z) in enumerate(points[0].double().tolist()):
        assert depth[0, number].item() == pytest.approx(z, abs=1e-5)
        if z < 0.2:
            continue
        u = ((x + 0.1) / z * 20 + 19.5 + 0.5) / 40
        v = (y / z * 20 + 19.5 + 0.5) / 40
        assert where[0, number].tolist() == pytest.approx([u, v], abs=1e-5)
    seen = inside_window(where, depth)
    index, found = nearest_patches(where, seen, 4, 1.0)
    for cell in range(16):
        middle = torch.tensor([(cell % 4 + 0.5) / 4, (cell // 4 + 0.5) / 4])
        apart = [
            (4 * (place - middle).norm()).item() if ok else float("inf")
            for place, ok in zip(where[0], seen[0], strict=True)
        ]
        assert found[0, cell].item() == (min(apart) <= 1)
        if found[0, cell]:
            assert index[0, cell].item() == apart.index(min(apart))
