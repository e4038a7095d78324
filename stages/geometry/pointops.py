"""Farthest point sampling and nearest neighbours of point clouds, batched.

Plain torch, but for the sampling on a GPU, which is a Triton kernel.

All rules are those of the operations that public Point-MAE checkpoints were trained with:
Pointnet2_PyTorch's furthest point sampling and KNN_CUDA's k nearest neighbours.
"""

from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

# Pointnet2_PyTorch never takes a point this near the origin (squared distance) for a candidate.
NEAR_ORIGIN = 1e-3
# Of a query and a point, at a time: on a GPU torch.cdist fails from 2**31 on, and memory does sooner.
MAX_PAIRS = 2**27


def outside_graphs(operation: Callable[P, R]) -> Callable[P, R]:
    """Keep an operation out of what torch.compile compiles: it has loops and kernels of its own."""
    kept: Callable[P, R] = torch.compiler.disable(operation)
    return kept


@outside_graphs
@torch.no_grad()
def farthest_point_sample(
    points: Tensor, num_samples: int, *, near_origin_rule: bool = True
) -> Tensor:
    """Return indices (B, M) of points (B, N, 3): each as far as can be from those before it.

    The first is index 0. With `near_origin_rule`, points nearer to the origin than the square root
    of 1e-3 are never chosen, as in the reference; then the result depends on where the origin is.
    Once all candidates are chosen, indices repeat. Which of equally far points comes first is open.
    """
    if points.is_cuda:
        from stages.geometry.fps_triton import farthest_point_sample_triton

        limit = NEAR_ORIGIN if near_origin_rule else -1.0
        return farthest_point_sample_triton(points, num_samples, limit)
    x, y, z = points.float().unbind(-1)  # (B, N) each: faster than the last axis of three
    squared_norm = x * x + y * y + z * z
    candidate = (
        squared_norm > NEAR_ORIGIN if near_origin_rule else torch.ones_like(x, dtype=torch.bool)
    )
    # Of a candidate, the squared distance to the chosen ones; never the largest of the others.
    nearest = torch.where(candidate, torch.inf, -1.0)
    last = torch.zeros(len(points), 1, dtype=torch.long, device=points.device)
    chosen = [last]
    for _ in range(1, num_samples):
        dx, dy, dz = (axis - axis.gather(1, last) for axis in (x, y, z))
        nearest = torch.minimum(nearest, dx * dx + dy * dy + dz * dz)
        last = nearest.argmax(dim=1, keepdim=True)
        chosen.append(last)
    return torch.cat(chosen, dim=1)


@outside_graphs
@torch.no_grad()
def nearest_neighbors(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return distances and indices (B, M, k) of the points (B, N, 3) nearest to queries (B, M, 3).

    Nearest first; a query that is one of the points is its own first neighbour, at distance 0.
    """
    found = [
        distance.topk(k, dim=-1, largest=False, sorted=True)
        for distance in distance_blocks(queries, points)
    ]
    values, indices = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
    return values, indices


@outside_graphs
@torch.no_grad()
def nearest_in_order(queries: Tensor, points: Tensor, count: int = 3) -> tuple[Tensor, Tensor]:
    """The same for the `count` nearest, as (B, M, count); of equally near points the lower index first.

    So does the reference (Pointnet2_PyTorch's `three_nn`), and a result that depends on the order of
    ties would differ from device to device.
    """
    found = [_first_ones(block, count) for block in distance_blocks(queries, points)]
    values, indices = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
    return values, indices


def _first_ones(distance: Tensor, count: int) -> tuple[Tensor, Tensor]:
    nearest = []
    for _ in range(min(count, distance.shape[2])):
        found = distance.min(dim=-1, keepdim=True)  # torch promises the first of equal ones
        nearest.append(found)
        distance = distance.scatter(2, found.indices, torch.inf)
    values, indices = (torch.cat(parts, dim=-1) for parts in zip(*nearest, strict=True))
    return values, indices


def distance_blocks(queries: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Yield distances (B, m, N) of queries (B, M, 3) to points (B, N, 3), some queries at a time.

    No block has more than MAX_PAIRS pairs, as far as one query of each cloud has not. Distances are of
    differences: torch.cdist's default, by matrix products, is wrong far from the origin.
    """
    batch, num_points, _ = points.shape
    rows = max(1, MAX_PAIRS // max(1, batch * num_points))
    for part in queries.float().split(rows, dim=1):
        yield torch.cdist(part, points.float(), compute_mode="donot_use_mm_for_euclid_dist")


def gather_points(values: Tensor, indices: Tensor) -> Tensor:
    """Take rows of values (B, N, C) by indices (B, ...) of each cloud: (B, ..., C)."""
    flat = indices.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
    return values.gather(1, flat).unflatten(1, indices.shape[1:])
