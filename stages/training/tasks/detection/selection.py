"""From predicted boxes to detections, as 3DETR's `parse_predictions` does (@ a5d1aad)."""

import torch
from torch import Tensor

from stages.training.networks.detections import Prediction
from stages.training.tasks.detection.boxes import points_inside, suppress

MIN_POINTS, MAX_IOU, MIN_OBJECTNESS = 5, 0.25, 0.05


def kept_queries(found: Prediction, points: Tensor, *, remove_empty: bool = True) -> Tensor:
    """Which queries (B, Q) bool stay: not empty, not suppressed within their class, an object.

    Where all boxes of a scene are empty the one with the highest objectness is not taken for empty.
    """
    objectness, label = found.objectness, found.class_probability.argmax(dim=-1)
    kept = torch.zeros_like(objectness, dtype=torch.bool)
    for scene in range(len(kept)):
        there = torch.ones_like(kept[scene])
        if remove_empty:
            there = points_inside(found.boxes[scene], points[scene]) >= MIN_POINTS
            if not there.any():
                there[objectness[scene].argmax()] = True
        rows = there.nonzero()[:, 0]
        stays = suppress(
            found.boxes[scene, rows], objectness[scene, rows], label[scene, rows], MAX_IOU
        )
        kept[scene, rows[stays]] = True
    return kept & (objectness > MIN_OBJECTNESS)
