"""Axis-aligned boxes (..., 6): centre and full size, in metres. ScanNet's boxes have no angle.

Volumes of overlap are true ones; the reference's polygon clipping is wrong where boxes share edges.
"""

import torch
from torch import Tensor

MIN_SIDE = 1e-3  # the reference clamps squared sides at 1e-6


def bounds(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest corner (..., 3) each."""
    center, half = boxes[..., :3], boxes[..., 3:6] / 2
    return center - half, center + half


def volume(boxes: Tensor) -> Tensor:
    """Volumes (...)."""
    return boxes[..., 3:6].clamp(min=0).prod(dim=-1)


def _overlap_and_hull(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Volumes (..., M, N) of the intersection and of the smallest box around both."""
    (low1, high1), (low2, high2) = bounds(first), bounds(second)
    low1, high1, low2, high2 = low1[..., :, None, :], high1[..., :, None, :], low2[..., None, :, :], high2[..., None, :, :]  # fmt: skip
    overlap = (torch.minimum(high1, high2) - torch.maximum(low1, low2)).clamp(min=0).prod(dim=-1)
    hull = (torch.maximum(high1, high2) - torch.minimum(low1, low2)).clamp(min=0).prod(dim=-1)
    return overlap, hull


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (..., M, N) of boxes (..., M, 6) and (..., N, 6); 0 of empty ones."""
    overlap, _ = _overlap_and_hull(first, second)
    union = volume(first)[..., :, None] + volume(second)[..., None, :] - overlap
    return torch.where(union > 0, overlap / union.clamp(min=1e-12), 0)


def pairwise_giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU (..., M, N): IoU less the share of the hull that is in neither box.

    Sides are at least a millimetre in volumes, as in the reference, so that it is defined everywhere.
    """
    overlap, hull = _overlap_and_hull(first, second)
    volume1, volume2 = (b[..., 3:6].clamp(min=MIN_SIDE).prod(dim=-1) for b in (first, second))
    union = volume1[..., :, None] + volume2[..., None, :] - overlap
    return overlap / union - (1 - union / hull.clamp(min=MIN_SIDE**3))


def points_inside(boxes: Tensor, points: Tensor) -> Tensor:
    """How many of the points (N, 3) lie in each box (M, 6): (M,)."""
    low, high = bounds(boxes)
    inside = (points[None] >= low[:, None]) & (points[None] <= high[:, None])
    return inside.all(dim=-1).sum(dim=1)


def suppress(boxes: Tensor, score: Tensor, group: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression within groups: which of the boxes (M, 6) stay, (M,) bool.

    A box goes if a better one of its group (M,) overlaps it by more than the threshold.
    """
    iou = pairwise_iou(boxes, boxes)
    rivals = (iou > threshold) & (group[:, None] == group[None])
    kept = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for index in score.argsort(descending=True, stable=True).tolist():
        if kept[index]:
            better = rivals[index].clone()
            better[index] = False
            kept &= ~better
    return kept
