"""3DETR's losses: each decoder layer's boxes matched to the true ones, each layer anew.

Weights and costs default to those of the published ScanNet script; the reference's own parser has
other defaults (no GIoU loss, 0.2 for "no object").
"""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from stages.loop.processes import mean_over_processes
from stages.training.networks.detections import Prediction, Raw
from stages.training.tasks.detection.boxes import pairwise_giou
from stages.training.tasks.detection.config import CriterionConfig

UNWANTED = 1e9  # a cost above all that are finite


@dataclass(frozen=True)
class Truth:
    """True boxes of a batch, padded to T: boxes (B, T, 6) metres, label (B, T), present (B, T) bool.

    `center` and `size` (B, T, 3) are shares of the scene's range, as the predictions'.
    """

    boxes: Tensor
    center: Tensor
    size: Tensor
    label: Tensor
    present: Tensor


@torch.no_grad()
def match(found: Prediction, truth: Truth, config: CriterionConfig) -> tuple[Tensor, Tensor]:
    """The true box (B, Q) that each query is given, and whether it is given one, (B, Q) bool."""
    probability, labels = found.class_probability, truth.label.clamp(min=0)
    wanted = labels[:, None].expand(-1, probability.shape[1], -1)
    cost = (
        -config.cost_class * probability.gather(2, wanted)
        - config.cost_objectness * found.objectness[..., None]
        + config.cost_center * torch.cdist(found.center, truth.center, p=1)
        - config.cost_giou * pairwise_giou(found.boxes, truth.boxes)
    )
    # Of predictions that are not finite any assignment will do: their loss is not finite either,
    # and the loop says so.
    cost = cost.nan_to_num(UNWANTED, UNWANTED, -UNWANTED)
    index = torch.zeros(cost.shape[:2], dtype=torch.long)
    matched = torch.zeros(cost.shape[:2], dtype=torch.bool)
    for scene, count in enumerate(truth.present.sum(dim=1).tolist()):
        rows, columns = linear_sum_assignment(cost[scene, :, :count].cpu().numpy())
        index[scene, rows] = torch.from_numpy(columns)
        matched[scene, rows] = True
    return index.to(cost.device), matched.to(cost.device)


def losses(
    found: Prediction, truth: Truth, config: CriterionConfig, num_boxes: Tensor
) -> dict[str, Tensor]:
    """The weighted losses of one layer, in float32; box terms are sums over pairs / `num_boxes`."""
    index, matched = match(found, truth, config)
    count = found.logits.shape[-1]
    label = torch.where(matched, truth.label.gather(1, index), count - 1)
    weight = torch.ones(count, device=label.device)
    weight[-1] = config.no_object
    logits, flat = found.logits.float().flatten(0, 1), label.flatten()
    kind = F.cross_entropy(logits, flat, weight=weight, reduction="sum")
    kind = kind / mean_over_processes(weight[flat].sum())

    def taken(values: Tensor) -> Tensor:
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))

    def over_pairs(values: Tensor) -> Tensor:
        return (values * matched).sum() / num_boxes

    center = (found.center - taken(truth.center)).abs().sum(dim=-1)
    size = (found.size - taken(truth.size)).abs().sum(dim=-1)
    angle = F.huber_loss(found.angle, torch.zeros_like(found.angle), reduction="none").sum(dim=-1)
    giou = pairwise_giou(found.boxes, truth.boxes).gather(2, index[..., None])[..., 0]
    return {
        "class": config.weight_class * kind,
        "center": config.weight_center * over_pairs(center),
        "size": config.weight_size * over_pairs(size),
        "angle": config.weight_angle * over_pairs(angle),
        "giou": config.weight_giou * over_pairs(1 - giou),
    }


def total_loss(raw: Raw, truth: Truth, config: CriterionConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum over all layers, and the last layer's losses by name.

    Under several processes the means are over the whole batch's boxes.
    """
    num_boxes = mean_over_processes(truth.present.sum().float())
    per_layer = [losses(p, truth, config, num_boxes.clamp(min=1)) for p in raw.layers()]
    total = torch.stack([value for terms in per_layer for value in terms.values()]).sum()
    return total, per_layer[-1]
