"""Chamfer distance of point clouds, as Point-MAE measures it (extensions/chamfer_dist @ 7445a68)."""

from typing import Literal

import torch
from torch import Tensor

from stages.geometry.pointops import gather_points, nearest_in_order, outside_graphs

ChamferKind = Literal["l2", "l1"]
# Where two points coincide a root has no slope; the reference's gradient is NaN there, ours 0.
SMALLEST = 1e-24


def chamfer_distance(
    first: Tensor, second: Tensor, kind: ChamferKind = "l2"
) -> tuple[Tensor, Tensor]:
    """Mean distance from each cloud (B, N, 3) to the other (B, M, 3) and back: two scalars, in float32.

    `l2` is of squared distances, `l1` of their roots; the loss of the papers is the sum of the two for
    `l2`, and half of it for `l1`. A point's nearest one is the first of equally near ones; gradients go
    to both points of each pair.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = first.float(), second.float()
        forth, back = nearest_pairs(first, second)
        squares = (
            (first - gather_points(second, forth)).square().sum(dim=-1),
            (second - gather_points(first, back)).square().sum(dim=-1),
        )
        if kind == "l1":
            squares = (_root(squares[0]), _root(squares[1]))
        return squares[0].mean(), squares[1].mean()


def chamfer_loss(first: Tensor, second: Tensor, kind: ChamferKind = "l2") -> Tensor:
    """One number of both ways: their sum for `l2`, their mean for `l1`."""
    forth, back = chamfer_distance(first, second, kind)
    return forth + back if kind == "l2" else (forth + back) / 2


@outside_graphs
@torch.no_grad()
def nearest_pairs(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point of two clouds (B, N, 3), (B, M, 3) the index of the other's nearest: (B, N), (B, M)."""
    forth, back = (
        nearest_in_order(queries, points, 1)[1][..., 0]
        for queries, points in ((first, second), (second, first))
    )
    return forth, back


def _root(squares: Tensor) -> Tensor:
    apart = squares > SMALLEST
    return torch.where(apart, torch.where(apart, squares, 1).sqrt(), 0)
