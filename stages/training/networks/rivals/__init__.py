"""The supervised networks of the paper's Tables 2 to 4: PointNet, PointNet++ and DGCNN."""

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stages.training.networks.rivals.dgcnn import DgcnnClassifier, DgcnnParts, DgcnnScenes
from stages.training.networks.rivals.pointnet import PointNetClassifier, PointNetParts
from stages.training.networks.rivals.pointnet2 import (
    PointNet2Classifier,
    PointNet2Parts,
    PointNet2Scenes,
)
from stages.training.networks.shapes import RivalShape

# Of PointNet's second transform, so that it stays near a rotation (its paper, section 4.2).
TRANSFORM_WEIGHT = 1e-3


def build_rival(shape: RivalShape) -> nn.Module:
    """Build one: points (B, N, 3) to logits (B, K), or with a category (B,) to (B, N, K)."""
    outputs, categories = shape.num_outputs, shape.num_categories
    match shape.kind, shape.task:
        case "pointnet", "classification":
            return PointNetClassifier(outputs)
        case "pointnet", "parts":
            return PointNetParts(outputs, categories)
        case "pointnet2", "classification":
            return PointNet2Classifier(outputs)
        case "pointnet2", "parts":
            return PointNet2Parts(outputs, categories)
        case "pointnet2", "segmentation":
            return PointNet2Scenes(outputs)
        case "dgcnn", "classification":
            return DgcnnClassifier(outputs)
        case "dgcnn", "parts":
            return DgcnnParts(outputs, categories)
        case "dgcnn", "segmentation":
            return DgcnnScenes(outputs)
        case _:
            raise ValueError(f"there is no {shape.kind} for {shape.task}")


def penalty(model: nn.Module) -> Tensor | float:
    """What a network, wrapped or not, adds to its loss after a forward pass: PointNet's, else nothing."""
    if isinstance(model, DistributedDataParallel):
        model = model.module
    if not isinstance(model, PointNetClassifier | PointNetParts):
        return 0.0
    transform = model.transform.float()
    identity = torch.eye(transform.shape[-1], device=transform.device)
    difference = transform @ transform.transpose(1, 2) - identity
    return TRANSFORM_WEIGHT * difference.square().sum(dim=(1, 2)).mean()
