"""Mean intersection over union as ScanNet's own evaluation has it.

`BenchmarkScripts/3d_evaluation/evaluate_semantic_label.py` of ScanNet/ScanNet @ 3830fce: vertices without
one of the 20 classes are left out; a prediction outside them is a miss; counts of all scenes are pooled.
A class that is neither there nor predicted is undefined, and not in the mean.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.scannet_classes import CLASSES, SEGMENTATION_IDS

NUM_CLASSES = len(CLASSES)
UNLABELLED = -1


def classes_of(ids: NDArray[np.integer]) -> NDArray[np.int8]:
    """Bring nyu40 ids to class numbers; all others are UNLABELLED."""
    known = np.array(SEGMENTATION_IDS)
    place = np.searchsorted(known, ids).clip(max=NUM_CLASSES - 1)  # the ids are in order
    return np.where(known[place] == ids, place, UNLABELLED).astype(np.int8)


def ids_of(classes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Bring class numbers to nyu40 ids."""
    return np.array(SEGMENTATION_IDS)[classes]


def confusion(true: Tensor, predicted: Tensor) -> Tensor:
    """Count classes against classes, (20, 21) int64; the last column is of predictions outside them."""
    true, predicted = true.flatten().long(), predicted.flatten().long()
    labelled = (true >= 0) & (true < NUM_CLASSES)
    outside = (predicted < 0) | (predicted >= NUM_CLASSES)
    column = torch.where(outside, NUM_CLASSES, predicted)
    index = (true * (NUM_CLASSES + 1) + column)[labelled]
    counts = torch.bincount(index, minlength=NUM_CLASSES * (NUM_CLASSES + 1))
    return counts.view(NUM_CLASSES, NUM_CLASSES + 1)


def iou_of(counts: Tensor) -> NDArray[np.float64]:
    """Intersection over union of each class (20,), NaN where it is undefined."""
    table = counts.cpu().numpy().astype(np.float64)
    hit = table[:, :NUM_CLASSES].diagonal()
    union = table.sum(axis=1) + table[:, :NUM_CLASSES].sum(axis=0) - hit
    return np.divide(hit, union, out=np.full(NUM_CLASSES, np.nan), where=union > 0)


def scores_of(counts: Tensor) -> dict[str, float]:
    """Mean IoU, and the share of labelled points that is right."""
    iou = iou_of(counts)
    hit, total = counts[:, :NUM_CLASSES].diagonal().sum().item(), counts.sum().item()
    return {
        "miou": float(np.nanmean(iou)) if np.isfinite(iou).any() else 0.0,
        "accuracy": hit / max(1, total),
    }


def by_class(counts: Tensor) -> dict[str, float]:
    """The IoU of each class that is defined, by its name."""
    return {
        name: float(value)
        for name, value in zip(CLASSES, iou_of(counts), strict=True)
        if np.isfinite(value)
    }
