"""A pre-trained student outside of training: a cloud in metres to features, places and a prefix."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cache.checkpoint import has_checkpoint, read_meta
from stages.geometry.cloud_input import CloudInput
from stages.geometry.normalise import frame_of
from stages.loop.random_numbers import plain_draws
from stages.training.augment import draw_points
from stages.training.networks.student import Student
from stages.training.weights.build import input_of, load_model


@dataclass(frozen=True)
class Seen:
    """What a student sees in a cloud.

    `patches` (G, C) are the backbone's features, `centers` (G, 3) their places in the cloud's own
    metres, `prefix` (L, D) the predicted prefix as the teacher says it.
    """

    patches: Tensor
    centers: Tensor
    prefix: Tensor


@dataclass(frozen=True)
class LoadedStudent:
    """A student with how clouds are to be shown to it."""

    network: Student
    input: CloudInput

    @torch.no_grad()
    def __call__(self, cloud: Tensor, *, seed: int = 0) -> Seen:
        """Look at a cloud (P, 3) in metres, in the frame of `input`.

        Points are drawn by the seed where there are more than in training, and normalised as there.
        Raises ValueError if the cloud has another shape, too few points, or a value that is not finite.
        """
        points = self._drawn(cloud, seed)
        middle, radius = frame_of(points, self.input.normalisation)
        shown = (points - middle) / radius
        features, patches = self.network.encoder(shown)
        predicted = self.network.head(self.network.concepts(features))
        centers = patches.centers * radius + middle
        return Seen(features[-1][0], centers[0], self.network.to_prefix(predicted)[0])

    def _drawn(self, cloud: Tensor, seed: int) -> Tensor:
        count = self.input.num_points
        if cloud.ndim != 2 or cloud.shape[1] != 3 or len(cloud) < count:
            raise ValueError(
                f"expected a cloud of at least {count} points, (P, 3) in metres; found {tuple(cloud.shape)}"
            )
        if not cloud.isfinite().all():
            raise ValueError("a coordinate of the cloud is not finite; leave such points out")
        cloud = cloud.to(next(self.network.parameters()).device, torch.float32)[None]
        if cloud.shape[1] == count:
            return cloud
        return draw_points(cloud, count, plain_draws(seed, 1, cloud.device))


def load_student(path: Path) -> LoadedStudent:
    """Load a pre-training's folder, or one of its checkpoints, in evaluation mode, on the CPU.

    Raises CardError if there is none, ValueError if it is of another network than a student.
    """
    folder = path / "last" if has_checkpoint(path / "last") else path
    meta, network = read_meta(folder), load_model(folder)
    if not isinstance(network, Student):
        raise ValueError(f"{path}: a {meta.model.get('kind')}, expected a pre-trained student")
    return LoadedStudent(network, input_of(meta))
