"""Average precision of boxes, by VoteNet's and 3DETR's protocol, over all scenes at once.

Detections of a class are taken by falling score, those of equal score in their stored order; each
matches the true box of its scene that it overlaps best, if by more than the threshold and if no
earlier one has it. The mean is over classes that are detected or there; one that is not there counts 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stages.training.tasks.detection.boxes import bounds, volume


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
    assert detected.score is not None
    best, match = _best_matches(detected, true)
    label = detected.label.numpy()
    # By class, then by falling score, then as they are stored.
    order = np.argsort(-detected.score.double().numpy(), kind="stable")
    order = order[np.argsort(label[order].astype(np.int16), kind="stable")]
    classes = sorted(set(label.tolist()) | set(true.label.tolist()))
    ends = np.searchsorted(label[order], classes, side="right")
    starts = np.searchsorted(label[order], classes)
    totals = [int((true.label == number).sum()) for number in classes]
    found = []
    for threshold in thresholds:
        right = _right(best[order] > threshold, match[order])
        parts = zip(classes, starts, ends, totals, strict=True)
        curves = {n: _curve(right[start:end], total) for n, start, end, total in parts}
        found.append(
            Precision({n: c[0] for n, c in curves.items()}, {n: c[1] for n, c in curves.items()})
        )
    return found


def _best_matches(detected: Boxes, true: Boxes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The largest IoU (N,) of each detection with a true box of its scene and class, and which.

    Of equally large ones the first; 0 and -1 where none overlaps.
    """
    classes = 1 + max((int(b.label.max()) for b in (detected, true) if len(b.label)), default=0)
    groups, slots = _by_group((true.scene * classes + true.label).numpy())
    key = (detected.scene * classes + detected.label).numpy()
    best, match = np.zeros(len(key)), np.full(len(key), -1)
    if not len(groups):
        return best, match
    place = np.searchsorted(groups, key).clip(max=len(groups) - 1)
    rows = np.flatnonzero(groups[place] == key)  # others have no true box to match
    corners = [np.stack(bounds(b.box.double()), axis=1) for b in (detected, true)]
    volumes = [volume(b.box.double()).numpy() for b in (detected, true)]
    for slot in slots.T:  # the first true box of each group, the second ...
        other = slot[place[rows]]
        own = rows[other >= 0]
        other = other[other >= 0]
        first, second = corners[0][own], corners[1][other]
        sides = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0])
        overlap = np.maximum(sides, 0).prod(axis=1)
        union = volumes[0][own] + volumes[1][other] - overlap
        iou = np.divide(overlap, union, out=np.zeros(len(own)), where=union > 0)
        better = iou > best[own]
        best[own[better]], match[own[better]] = iou[better], other[better]
    return best, match


def _by_group(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct keys (G,) in order, and the rows that have each, (G, most) padded with -1."""
    groups, group_of, count = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(group_of, kind="stable")
    start = np.repeat(np.cumsum(count) - count, count)
    slots = np.full((len(groups), int(count.max(initial=0))), -1)
    slots[group_of[order], np.arange(len(keys)) - start] = order
    return groups, slots


def _right(hit: NDArray[np.bool_], match: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of all detections that hit the same true box only the first in order is right."""
    hits = np.flatnonzero(hit)
    _, places = np.unique(match[hits], return_index=True)
    right = np.zeros(len(hit), bool)
    right[hits[places]] = True
    return right


def _curve(right: NDArray[np.bool_], total: int) -> tuple[float, float]:
    """Average precision of a class's detections in order, and the recall that they reach."""
    if not len(right) or not total:
        return 0.0, 0.0
    reached = np.cumsum(right)
    recall = reached / total
    return _area(recall, reached / np.arange(1, len(right) + 1)), float(recall[-1])


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """The area under the precision's envelope over the recall (PASCAL VOC's)."""
    recall = np.concatenate([[0.0], recall, [1.0]])
    envelope = np.maximum.accumulate(np.concatenate([[0.0], precision, [0.0]])[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[steps + 1] - recall[steps]) * envelope[steps + 1]).sum())
