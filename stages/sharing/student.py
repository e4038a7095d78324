"""A pre-trained student outside of training: clouds in metres to features, places and a prefix."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.card import CardError
from cache.checkpoint import WEIGHTS, has_checkpoint, read_meta
from stages.geometry.cloud_input import CloudInput, object_input
from stages.geometry.normalise import frame_of
from stages.loop.random_numbers import plain_draws
from stages.loop.tensors import load_weights, to_tensors
from stages.sharing.exported import is_exported, read_exported
from stages.training.augment import draw_points
from stages.training.networks.detector import Detector
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import EncoderShape
from stages.training.networks.student import FramePredictor, pooled
from stages.training.networks.upsample import interpolate
from stages.training.weights.build import build_model, input_of, load_model
from stages.training.weights.first_weights import apply_initial, load_initial

Cloud = Tensor | NDArray[np.floating[Any]]
POINTMAE_POINTS = 1024  # of the objects that its published weights learned from
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Features:
    """What a student sees in a cloud of P points; G patches, C channels.

    `patches` (G, C) are the backbone's features and `centers` (G, 3) their places in the cloud's own
    metres; `points` (P, C) are features of each point, interpolated from its three nearest patches;
    `cloud` (2 C,) is the maximum and the mean over patches, which the probes read; `prefix` (L, D) is
    the predicted prefix as the teacher says it, `embedding` (E,) the
    predicted one of a student that learned CLIP's; None of a backbone that predicts something else.
    """

    patches: Tensor
    centers: Tensor
    points: Tensor
    cloud: Tensor
    prefix: Tensor | None
    embedding: Tensor | None = None


@dataclass(frozen=True)
class LoadedStudent:
    """A backbone with how clouds are to be shown to it, and, if it has one, its head."""

    encoder: PointEncoder
    input: CloudInput
    network: FramePredictor | None = None

    def to(self, device: torch.device | str) -> "LoadedStudent":
        """The same on a device."""
        (self.network or self.encoder).to(device)
        return self

    @overload
    def __call__(self, clouds: Cloud, *, seed: int = 0) -> Features: ...

    @overload
    def __call__(self, clouds: Sequence[Cloud], *, seed: int = 0) -> list[Features]: ...

    def __call__(
        self, clouds: Cloud | Sequence[Cloud], *, seed: int = 0
    ) -> Features | list[Features]:
        """Look at a cloud (P, 3) in metres, in the frame of `input`, or at each of a list of them.

        Points are drawn by the seed where there are more than in training, and normalised as there.
        Raises ValueError if a cloud has another shape, too few points, or a value that is not finite.
        """
        if isinstance(clouds, Tensor | np.ndarray) and clouds.ndim != 3:
            return self._look(self._checked(clouds), seed)
        return [self._look(self._checked(cloud), seed) for cloud in clouds]

    def _checked(self, cloud: Cloud) -> Tensor:
        points = torch.as_tensor(cloud)
        count = self.input.num_points
        if points.ndim != 2 or points.shape[1] != 3 or len(points) < count:
            raise ValueError(
                f"expected a cloud of at least {count} points, (P, 3) in metres; found {tuple(points.shape)}"
            )
        if not points.isfinite().all():
            raise ValueError("a coordinate of the cloud is not finite; leave such points out")
        return points.to(next(self.encoder.parameters()).device, torch.float32)

    @torch.no_grad()
    def _look(self, cloud: Tensor, seed: int) -> Features:
        drawn = self._drawn(cloud[None], seed)
        middle, radius = frame_of(drawn, self.input.normalisation)
        features, patches = self.encoder((drawn - middle) / radius)
        last = features[-1]
        prefix = embedding = None
        if self.network is not None:
            target = self.network.to_target(self.network.predict(features))[0]
            if self.network.array == "prefix":
                prefix = target
            else:
                embedding = target[0]
        return Features(
            patches=last[0],
            centers=(patches.centers * radius + middle)[0],
            points=interpolate((cloud[None] - middle) / radius, patches.centers, last)[0],
            cloud=pooled(last)[0],
            prefix=prefix,
            embedding=embedding,
        )

    def _drawn(self, cloud: Tensor, seed: int) -> Tensor:
        count = self.input.num_points
        if cloud.shape[1] == count:
            return cloud
        return draw_points(cloud, count, plain_draws(seed, 1, cloud.device))


def load_student(source: str | Path) -> LoadedStudent:
    """Load a backbone, in evaluation mode, on the CPU.

    `source` is the folder of a run, of one of its checkpoints, or of an exported student; a PyTorch
    checkpoint of Point-MAE, Point-BERT or MaskPoint; or `owner/name[@revision]` on the Hugging Face
    hub. Raises CardError if a checkpoint is damaged, ValueError if there is nothing of these.
    """
    path = Path(source)
    for folder in (path / "last", path):
        if has_checkpoint(folder):
            return _of_checkpoint(folder)
    if is_exported(path):
        return _of_export(path)
    if path.is_file():
        return _of_others(path)
    if not path.exists() and HUB_NAME.fullmatch(str(source)):
        from stages.machine.hub import download_student

        return _of_export(download_student(str(source)))
    there = "there is none of these in it" if path.is_dir() else "no such file or folder"
    raise ValueError(
        f"{source}: {there}; expected the folder of a run, of a checkpoint or of an exported student, a "
        "PyTorch checkpoint of Point-MAE, or owner/name on the Hugging Face hub"
    )


def _of_checkpoint(folder: Path) -> LoadedStudent:
    meta, network = read_meta(folder), load_model(folder)
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, PointEncoder):
        raise ValueError(f"{folder}: a {meta.model.get('kind')}, which has no backbone of ours")
    shown = input_of(meta)
    if isinstance(network, SceneSegmenter | Detector):  # they normalise by themselves, from metres
        shown = shown.model_copy(update={"normalisation": network.shape.norm_input})
    return LoadedStudent(encoder, shown, network if isinstance(network, FramePredictor) else None)


def _of_export(folder: Path) -> LoadedStudent:
    config, arrays = read_exported(folder)
    network = build_model(config.model, where=str(folder))
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, PointEncoder):
        raise CardError(f"{folder}: it says that it holds a {config.model.get('kind')}")
    load_weights(network, to_tensors(arrays), where=str(folder / WEIGHTS))
    network.eval()
    shown = CloudInput.model_validate(config.model["input"])
    return LoadedStudent(encoder, shown, network if isinstance(network, FramePredictor) else None)


def _of_others(path: Path) -> LoadedStudent:
    initial = load_initial(str(path))
    holder = torch.nn.Module()
    holder.encoder = PointEncoder(initial.shape(EncoderShape()))
    apply_initial(holder, initial)
    holder.eval()
    return LoadedStudent(holder.encoder, object_input(POINTMAE_POINTS))
