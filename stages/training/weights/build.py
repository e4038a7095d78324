"""Models and optimizers to checkpoints, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cache.card import CardError
from cache.checkpoint import WEIGHTS, Meta, read_arrays, read_meta
from stages.geometry.cloud_input import CloudInput, object_input, scene_input
from stages.loop.tensors import load_weights, to_tensors
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.detector import Detector
from stages.training.networks.joint import JointStudent
from stages.training.networks.masked import MaskedAutoencoder
from stages.training.networks.maskpoint import MaskPointNetwork
from stages.training.networks.part_segmenter import PartSegmenter
from stages.training.networks.patch_student import PatchStudent
from stages.training.networks.rivals import build_rival
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import (
    ClassifierShape,
    DetectorShape,
    JointShape,
    MaskedShape,
    MaskPointShape,
    PartSegmenterShape,
    PatchStudentShape,
    PooledStudentShape,
    RivalShape,
    SegmenterShape,
    StudentShape,
)
from stages.training.networks.student import PooledStudent, Student


def build_model(about: Mapping[str, Any], *, where: str) -> nn.Module:
    """Build the network that a checkpoint's `model` describes. Raises CardError."""
    try:
        match about.get("kind"):
            case "student":
                return Student(StudentShape.model_validate(about["shape"]))
            case "pooled student":
                return PooledStudent(PooledStudentShape.model_validate(about["shape"]))
            case "patch student":
                return PatchStudent(PatchStudentShape.model_validate(about["shape"]))
            case "masked autoencoder":
                return MaskedAutoencoder(MaskedShape.model_validate(about["shape"]))
            case "joint student":
                return JointStudent(JointShape.model_validate(about["shape"]))
            case "maskpoint":
                return MaskPointNetwork(MaskPointShape.model_validate(about["shape"]))
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
    meta, tensors = read_meta(path), to_tensors(read_arrays(path, WEIGHTS))
    model = build_model(_as_meant(meta), where=str(path))
    if isinstance(model, Student) and "target_mean" not in tensors:
        tensors |= _earlier_targets(meta, model)
    load_weights(model, tensors, where=str(path / WEIGHTS))
    return model.eval()


def input_of(meta: Meta) -> CloudInput:
    """How clouds are to be shown to a checkpoint's network; of earlier versions by their run's card."""
    if "input" in meta.model:
        return CloudInput.model_validate(meta.model["input"])
    config, num_points = meta.run.config, meta.run.config["num_points"]
    if meta.model.get("kind") == "student":
        return CloudInput(
            num_points=num_points, normalisation=config["norm_input"], frame=config["frame"]
        )
    of_scenes = meta.run.kind.endswith(("segmentation", "detection"))
    return scene_input(num_points) if of_scenes else object_input(num_points)


def _as_meant(meta: Meta) -> Mapping[str, Any]:
    """A checkpoint's `model`, in today's words: `metric` of a segmenter once meant centred metres."""
    model = meta.model
    is_earlier = meta.run.schema_version == 1 and model.get("kind") == "scene segmenter"
    if is_earlier and model["shape"].get("norm_input") == "metric":
        return {**model, "shape": {**model["shape"], "norm_input": "center"}}
    return model


def _earlier_targets(meta: Meta, model: Student) -> dict[str, Tensor]:
    """What checkpoints did not carry once: nothing to undo, or not known."""
    unknown = meta.run.config["target_norm"] == "standardize"
    value = torch.nan if unknown else 0.0
    mean = torch.full_like(model.target_mean, value)
    return {"target_mean": mean, "target_std": torch.ones_like(mean)}
