"""Average precision of boxes, by VoteNet's and 3DETR's protocol, over all scenes at once.

Detections of a class are taken by falling score, those of equal score in their stored order; each
matches the true box of its scene that it overlaps best, if by more than the threshold and if no
earlier one has it. The mean is over classes that are detected or there; one that is not there counts 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.training.tasks.detection.boxes import pairwise_iou


@dataclass(frozen=True)
class Boxes:
    """Boxes (N, 6) with their scene (N,), class (N,), and score (N,) if they are detections."""

    box: Tensor
    scene: Tensor
    label: Tensor
    score: Tensor | None = None


@dataclass(frozen=True)
class Precision:
    """Of each class that is detected or there: average precision and recall reached."""

    ap: dict[int, float]
    recall: dict[int, float]

    @property
    def mean_ap(self) -> float:
        """The mean over the classes."""
        return float(np.mean(list(self.ap.values()))) if self.ap else 0.0

    @property
    def mean_recall(self) -> float:
        """The mean over the classes."""
        return float(np.mean(list(self.recall.values()))) if self.recall else 0.0


def average_precision(detected: Boxes, true: Boxes, thresholds: Sequence[float]) -> list[Precision]:
    """Evaluate detections against true boxes, for each threshold of IoU."""
    best, match = _best_matches(detected, true)
    return [_at(detected, true, best, match, threshold) for threshold in thresholds]


def _best_matches(detected: Boxes, true: Boxes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The largest IoU (N,) of each detection with a true box of its scene and class, and which."""
    best, match = np.zeros(len(detected.box)), np.full(len(detected.box), -1)
    keys = torch.stack([detected.scene, detected.label], dim=1)
    true_keys = torch.stack([true.scene, true.label], dim=1)
    groups, group_of = torch.unique(torch.cat([keys, true_keys]), dim=0, return_inverse=True)
    of_detected, of_true = group_of[: len(keys)].numpy(), group_of[len(keys) :].numpy()
    order, true_order = np.argsort(of_detected, kind="stable"), np.argsort(of_true, kind="stable")
    numbers = np.arange(len(groups) + 1)
    starts = np.searchsorted(of_detected[order], numbers)
    true_starts = np.searchsorted(of_true[true_order], numbers)
    for group in range(len(groups)):
        own = order[starts[group] : starts[group + 1]]
        others = true_order[true_starts[group] : true_starts[group + 1]]
        if len(own) and len(others):
            iou = pairwise_iou(detected.box[own].double(), true.box[others].double()).numpy()
            best[own], match[own] = iou.max(axis=1), others[iou.argmax(axis=1)]
    return best, match


def _at(
    detected: Boxes,
    true: Boxes,
    best: NDArray[np.float64],
    match: NDArray[np.int64],
    threshold: float,
) -> Precision:
    assert detected.score is not None
    label, true_label = detected.label.numpy(), true.label.numpy()
    order = np.argsort(-detected.score.double().numpy(), kind="stable")
    hit = best > threshold
    # Of all that hit the same true box, only the first in order counts.
    first = np.zeros(len(order), bool)
    hits = order[hit[order]]
    _, places = np.unique(match[hits], return_index=True)
    first[hits[places]] = True
    ap, recall = {}, {}
    for number in sorted(set(label.tolist()) | set(true_label.tolist())):
        own = order[label[order] == number]
        total = int((true_label == number).sum())
        right = np.cumsum(first[own])
        reached = right / total if total else np.zeros(len(own))
        precision = right / np.arange(1, len(own) + 1)
        ap[number] = _area(reached, precision) if len(own) else 0.0
        recall[number] = float(reached[-1]) if len(own) else 0.0
    return Precision(ap, recall)


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """The area under the precision's envelope over the recall (PASCAL VOC's)."""
    recall = np.concatenate([[0.0], recall, [1.0]])
    envelope = np.maximum.accumulate(np.concatenate([[0.0], precision, [0.0]])[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[steps + 1] - recall[steps]) * envelope[steps + 1]).sum())
