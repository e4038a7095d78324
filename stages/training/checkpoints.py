"""Models and optimizers to checkpoints, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from cache.card import CardError
from cache.checkpoint import WEIGHTS, Arrays, read_arrays, read_meta
from stages.training.networks.classifier import ClassifierShape, PointClassifier
from stages.training.networks.detector import Detector, DetectorShape
from stages.training.networks.part_segmenter import PartSegmenter, PartSegmenterShape
from stages.training.networks.rivals import RivalShape, build_rival
from stages.training.networks.scene_segmenter import SceneSegmenter, SegmenterShape
from stages.training.networks.student import Student, StudentShape

OPTIMIZER = "optimizer"


def build_model(about: Mapping[str, Any], *, where: str) -> nn.Module:
    """Build the network that a checkpoint's `model` describes. Raises CardError."""
    try:
        match about.get("kind"):
            case "student":
                return Student(StudentShape.model_validate(about["shape"]))
            case "classifier":
                return PointClassifier(ClassifierShape.model_validate(about["shape"]))
            case "part segmenter":
                return PartSegmenter(PartSegmenterShape.model_validate(about["shape"]))
            case "detector":
                return Detector(DetectorShape.model_validate(about["shape"]))
            case "scene segmenter":
                return SceneSegmenter(SegmenterShape.model_validate(about["shape"]))
            case "rival":
                return build_rival(RivalShape.model_validate(about["shape"]))
            case other:
                raise CardError(f"{where}: a model of an unknown kind {other!r}")
    except (ValidationError, KeyError) as error:
        raise CardError(f"{where}: what it says of its model cannot be built: {error}") from None


def load_model(path: Path) -> nn.Module:
    """Rebuild a model from a checkpoint alone, on the CPU, in evaluation mode. Raises CardError."""
    model = build_model(read_meta(path).model, where=str(path))
    load_weights(model, to_tensors(read_arrays(path, WEIGHTS)), where=str(path / WEIGHTS))
    return model.eval()


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Give a model all its tensors. Raises CardError if they are not exactly its own."""
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CardError(
            f"{where}: does not fit its model: {' '.join(str(error).split())}"
        ) from None


def to_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Copy tensors to the CPU as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def to_tensors(arrays: Arrays) -> dict[str, Tensor]:
    """Take arrays as tensors."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Flatten an optimizer's state: `optimizer.<parameter's number>.<name>`."""
    return {
        f"{OPTIMIZER}.{number}.{name}": torch.as_tensor(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer back what `optimizer_tensors` took; other names are left alone."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, number, name = (*key.split(".", 2), "", "")[:3]
        if kind == OPTIMIZER:
            state.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
