"""Single patches: a teacher's patch tokens learned at the 3D patches that are projected onto them.

`local` is the paper's "direct local alignment" (Table 5), `dense` the newer literature's route.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.pointops import gather_points
from stages.loop.processes import mean_over_processes
from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from stages.training.networks.patch_student import PatchStudent
from stages.training.networks.shapes import EncoderShape, PatchStudentShape
from stages.training.networks.student import Prediction
from stages.training.networks.tokenizer import make_patches
from stages.training.pretraining.cameras import inside_window
from stages.training.pretraining.clouds import Clouds
from stages.training.pretraining.data import Data
from stages.training.pretraining.measures import r_squared
from stages.training.pretraining.objectives.alignment import (
    cells_at,
    hidden,
    nearest_patches,
)
from stages.training.pretraining.objectives.distillation import Target, compared, r_squared_name
from stages.training.pretraining.objectives.objective import Batch, Measures
from stages.training.pretraining.objectives.settings import DenseSettings, LocalSettings
from stages.training.pretraining.ridge import patch_features, ridge_prediction

ARRAY = "patches"
# Whose patches a ridge regression is fitted to, and judged on; more change little.
RIDGE_FRAMES = 1000


class Pairing(NamedTuple):
    """For each place of one side (B, P): which of the other is compared, (B, P), and whether any, bool."""

    partner: Tensor
    found: Tensor


class Sums(NamedTuple):
    """Over the compared tokens of a held batch: loss, squared error, squared distance to the mean, numbers."""

    loss: float
    error: float
    of_mean: float
    compared: int
    places: int


@dataclass(frozen=True)
class PatchTokens:
    """Predict the token of the image patch that belongs to a 3D patch; measured by R2 of tokens."""

    settings: LocalSettings | DenseSettings
    encoder: EncoderShape
    data: Data
    headline: str = field(default="val_loss", init=False)
    needs_whole_batch: bool = field(default=False, init=False)

    @property
    def shape(self) -> PatchStudentShape:
        """All that rebuilds the network."""
        width = self.data.target_shape(ARRAY)[1]
        return PatchStudentShape(encoder=self.encoder, target_width=width)

    @cached_property
    def side(self) -> int:
        """Of the square of image patches. Raises ValueError if they are none."""
        count = self.data.target_shape(ARRAY)[0]
        side = isqrt(count)
        if side * side != count:
            raise ValueError(
                f"the teacher's {count} patch tokens are no square grid, so nobody knows where they look"
            )
        return side

    @cached_property
    def statistics(self) -> Target:
        """Of the training tokens, one mean and deviation (D,) for all places."""
        return self.data.statistics(ARRAY).over_tokens()

    def network(self) -> nn.Module:
        """A student of patches. Raises ValueError if the teacher's patches are no square."""
        assert self.side
        return PatchStudent(self.shape)

    def about(self) -> dict[str, Any]:
        """What rebuilds the network."""
        return {"kind": "patch student", "shape": self.shape.model_dump(mode="json")}

    def extras(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def terms(self, output: Prediction, batch: Batch) -> Terms:
        """The mean over all pairs of the batch, also where several processes share it."""
        pairing = self.pairing(output, batch)
        predicted, target = self._sides(output, batch, pairing)
        each = self._losses(predicted, target)
        count = mean_over_processes(pairing.found.sum().float()).clamp(min=1)
        loss = (each * pairing.found).sum() / count
        return Terms(loss, {"aligned": pairing.found.float().mean()})

    @torch.no_grad()
    def pairing(self, output: Prediction, batch: Batch) -> Pairing:
        """`local`: of each image patch a 3D patch. `dense`: of each 3D patch an image patch."""
        assert batch.views is not None
        centers = gather_points(batch.metres, output.patches.chosen)
        where, depth = batch.views.project(centers, batch.rows)
        seen = inside_window(where, depth)
        if isinstance(self.settings, LocalSettings):
            return Pairing(*nearest_patches(where, seen, self.side, self.settings.reach_cells))
        everything = batch.views.project(batch.metres, batch.rows)
        behind = hidden(where, depth, *everything, self.settings.hidden_by)
        return Pairing(cells_at(where, self.side), seen & ~behind)

    def _sides(self, output: Prediction, batch: Batch, pairing: Pairing) -> tuple[Tensor, Tensor]:
        """What was predicted and what is true, (B, P, D) each, pair by pair."""
        target = self._learned(batch.targets[ARRAY])
        if isinstance(self.settings, LocalSettings):
            return gather_points(output.prediction, pairing.partner).float(), target
        return output.prediction.float(), gather_points(target, pairing.partner)

    def _learned(self, tokens: Tensor) -> Tensor:
        return self.statistics.as_learned(tokens, self.data.target_norm)

    def _losses(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The loss of each pair, (B, P)."""
        if self.settings.loss == "mse":
            return (predicted - target).square().mean(dim=-1)
        return 1 - F.cosine_similarity(predicted, target, dim=-1)

    @cached_property
    def mean(self) -> Tensor:
        """The mean token (D,) of what is compared in training."""
        total: Tensor = torch.zeros(())
        count = 0
        for tokens in self.data.train_targets(ARRAY):
            own = compared(self._learned(tokens), self.settings.loss).flatten(0, 1)
            total, count = total.to(own.device) + own.double().sum(dim=0), count + len(own)
        return total / count

    def kept(self, output: Prediction, batch: Batch) -> Sums:
        """Sums over a held batch."""
        pairing = self.pairing(output, batch)
        sides = self._sides(output, batch, pairing)
        predicted, target = (side[pairing.found] for side in sides)
        loss = self._losses(predicted, target).double().sum().item()
        predicted, target = (compared(x, self.settings.loss).double() for x in (predicted, target))
        error = (predicted - target).square().sum().item()
        of_mean = (target - self.mean.to(target)).square().sum().item()
        return Sums(loss, error, of_mean, len(target), pairing.found.numel())

    def measures(self, kept: Sequence[Sums]) -> Measures:
        """The mean loss of a pair, R2 against the mean token, and the share of places that have a pair."""
        loss, error, of_mean, count, places = (sum(column) for column in zip(*kept, strict=True))
        return {
            "val_loss": loss / max(count, 1),
            r_squared_name(self.settings.loss): 1 - error / max(of_mean, 1e-30),
            "val_aligned": count / max(places, 1),
        }

    def bars(self) -> Measures:
        """Measure what a ridge regression from plain features of patches and clouds predicts."""
        train, learned = self._plain(self.data.train)
        features, target = self._plain(self.data.held_clouds)
        if not len(train) or not len(target):
            return {}
        predicted = ridge_prediction(train, lambda part: learned[part], features)
        loss = self._losses(predicted.float(), target).mean().item()
        predicted, target = (
            compared(x, self.settings.loss).double() for x in (predicted.float(), target)
        )
        found = r_squared(predicted, target, self.mean)
        return {"ridge_val_loss": loss, f"ridge_{r_squared_name(self.settings.loss)}": found}

    def _plain(self, clouds: Clouds) -> tuple[Tensor, Tensor]:
        """Plain features (M, F) and targets (M, D) of all pairs of some frames, evenly spread."""
        count = len(clouds.pairs)
        rows = torch.linspace(0, count - 1, min(RIDGE_FRAMES, count)).long()
        parts = []
        for part in rows.split(self.data.batch):
            batch = clouds.plain(part)
            shape = self.encoder
            patches = make_patches(
                batch.points, shape.num_patches, shape.patch_size,
                near_origin_rule=shape.near_origin_rule,
            )  # fmt: skip
            own = patch_features(batch.metres, patches.chosen, patches.indices)
            output = Prediction(own, patches, own)
            pairing = self.pairing(output, batch)
            sides = self._sides(output, batch, pairing)
            parts.append([side[pairing.found] for side in sides])
        features, target = (torch.cat(side) for side in zip(*parts, strict=True))
        return features, target
