"""Mean intersection over union as ScanNet's own evaluation has it.

`BenchmarkScripts/3d_evaluation/evaluate_semantic_label.py` of ScanNet/ScanNet @ 3830fce: vertices without
one of the 20 classes are left out; a prediction outside them is a miss; counts of all scenes are pooled.
A class that is neither there nor predicted is undefined, and not in the mean.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNLABELLED = -1


def classes_of(ids: NDArray[np.integer], known: Sequence[int]) -> NDArray[np.int8]:
    """Bring a scan's ids to numbers of the known ones, which rise; all others are UNLABELLED."""
    rising = np.array(known)
    place = np.searchsorted(rising, ids).clip(max=len(rising) - 1)
    return np.where(rising[place] == ids, place, UNLABELLED).astype(np.int8)


def no_counts(num_classes: int) -> Tensor:
    """A confusion of nothing, (K, K + 1)."""
    return torch.zeros(num_classes, num_classes + 1, dtype=torch.long)


def confusion(true: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Count classes against classes, (K, K + 1) int64; the last column is of predictions outside them."""
    true, predicted = true.flatten().long(), predicted.flatten().long()
    labelled = (true >= 0) & (true < num_classes)
    outside = (predicted < 0) | (predicted >= num_classes)
    column = torch.where(outside, num_classes, predicted)
    index = (true * (num_classes + 1) + column)[labelled]
    counts = torch.bincount(index, minlength=num_classes * (num_classes + 1))
    return counts.view(num_classes, num_classes + 1)


def iou_of(counts: Tensor) -> NDArray[np.float64]:
    """Intersection over union of each class (K,) of a confusion (K, K + 1), NaN where it is undefined."""
    table = counts.cpu().numpy().astype(np.float64)
    hit = table[:, :-1].diagonal()
    union = table.sum(axis=1) + table[:, :-1].sum(axis=0) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


def scores_of(counts: Tensor) -> dict[str, float]:
    """Mean IoU, and the share of labelled points that is right."""
    iou = iou_of(counts)
    hit, total = counts[:, :-1].diagonal().sum().item(), counts.sum().item()
    return {
        "miou": float(np.nanmean(iou)) if np.isfinite(iou).any() else 0.0,
        "accuracy": hit / max(1, total),
    }


def by_class(counts: Tensor, names: Sequence[str]) -> dict[str, float]:
    """The IoU of each class that is defined, by its name."""
    return {
        name: float(value)
        for name, value in zip(names, iou_of(counts), strict=True)
        if np.isfinite(value)
    }
