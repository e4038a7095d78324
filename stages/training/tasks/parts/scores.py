"""Intersection over union of parts, by the official evaluation of Point-MAE's segmentation/main.py.

A part that neither the shape nor its prediction has counts 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def restrict(logits: Tensor, category: Tensor, parts: Sequence[range]) -> Tensor:
    """Parts (N, n) with the largest logits (N, n, P) among those of each shape's category (N,)."""
    allowed = torch.zeros(len(parts), logits.shape[-1], dtype=torch.bool, device=logits.device)
    for number, own in enumerate(parts):
        allowed[number, own.start : own.stop] = True
    return logits.masked_fill(~allowed[category][:, None], -torch.inf).argmax(dim=-1)


def shape_ious(
    predicted: Tensor, target: Tensor, category: Tensor, parts: Sequence[range]
) -> Tensor:
    """The mean IoU (N,) of each shape over its category's parts; parts (N, n) each."""
    num_parts = max(own.stop for own in parts)
    ious = torch.empty(len(predicted), num_parts, dtype=torch.double, device=predicted.device)
    for part in range(num_parts):
        one, other = predicted == part, target == part
        union = (one | other).sum(dim=1)
        both = (one & other).sum(dim=1)
        ious[:, part] = torch.where(union > 0, both / union.clamp(min=1), 1.0)
    own = torch.zeros(len(parts), num_parts, dtype=torch.double, device=predicted.device)
    for number, bounds in enumerate(parts):
        own[number, bounds.start : bounds.stop] = 1 / len(bounds)
    return (ious * own[category]).sum(dim=1)


def part_scores(
    logits: Tensor, target: Tensor, category: Tensor, parts: Sequence[range], names: Sequence[str]
) -> dict[str, float]:
    """Instance mIoU, the mean over shapes; class mIoU, over the categories that occur; by category.

    `accuracy` is of points, `class_accuracy` its mean over the parts that occur.
    """
    predicted = restrict(logits, category, parts)
    ious = shape_ious(predicted, target, category, parts)
    by_category = {
        name: ious[category == number].mean().item()
        for number, name in enumerate(names)
        if (category == number).any()
    }
    right = predicted == target
    of_part = [right[target == part].double().mean().item() for part in target.unique().tolist()]
    return {
        "instance_miou": ious.mean().item(),
        "class_miou": sum(by_category.values()) / len(by_category),
        "accuracy": right.double().mean().item(),
        "class_accuracy": sum(of_part) / len(of_part),
        **{f"miou/{name}": value for name, value in by_category.items()},
    }
