"""MaskPoint's objective: tell points of the surface from points beside it, having seen some patches.

After models/MaskPoint.py (`_generate_query_xyz`, `loss_bce`, `loss_focal_bce`) of
WisconsinAIVision/MaskPoint @ f65c088. Its mask is one for all clouds of a batch, ours is each cloud's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.geometry.pointops import farthest_point_sample, gather_points, nearest_neighbors
from stages.loop.processes import mean_over_processes
from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from stages.training.networks.maskpoint import MaskPointNetwork, Told
from stages.training.networks.shapes import EncoderShape, MaskPointShape
from stages.training.pretraining.objectives.masked import draw_mask
from stages.training.pretraining.objectives.objective import Batch, Measures
from stages.training.pretraining.objectives.settings import MaskPointSettings

REAL, FAKE, UNKNOWN = 1, 0, -1


@torch.no_grad()
def make_queries(points: Tensor, num_real: int, random: Tensor) -> tuple[Tensor, Tensor]:
    """Queries (B, R + F, 3) of clouds (B, N, 3) and what they are: REAL, FAKE or UNKNOWN.

    Real ones are R points, as far apart as can be; fake ones lie where `random` (B, F, 3), 0 to 1, says in
    the box around these. A fake one nearer to the cloud than the real ones are to each other, in the
    mean over the cloud, may be on the surface: unknown.
    """
    real = gather_points(points, farthest_point_sample(points, num_real, near_origin_rule=False))
    low, high = real.amin(dim=1, keepdim=True), real.amax(dim=1, keepdim=True)
    fake = low + random * (high - low)
    to_cloud = nearest_neighbors(fake, points, 1)[0][..., 0]
    apart = nearest_neighbors(real, real, 2)[0][..., 1].mean(dim=1, keepdim=True)
    labels = torch.full(real.shape[:2], REAL, device=points.device)
    of_fake = torch.where(to_cloud < apart, UNKNOWN, FAKE)
    return torch.cat([real, fake], dim=1), torch.cat([labels, of_fake], dim=1)


def focal_losses(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """The mean focal loss of each query's two logits, (B, Q), in float32; of unknown ones 0.

    Both classes are told by a sigmoid of their own.
    """
    logits = logits.float()
    wanted = F.one_hot(labels.clamp(min=0), 2).to(logits)
    chance = logits.sigmoid()
    wrong = (1 - chance) * wanted + chance * (1 - wanted)
    weight = (alpha * wanted + (1 - alpha) * (1 - wanted)) * wrong.pow(gamma)
    each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight
    return each.mean(dim=-1) * (labels != UNKNOWN)


@dataclass(frozen=True)
class RealOrFake:
    """Tell queries; measured by balanced accuracy, of which chance is a half."""

    settings: MaskPointSettings
    encoder: EncoderShape
    headline: str = field(default="val_loss", init=False)
    needs_whole_batch: bool = field(default=False, init=False)

    @property
    def shape(self) -> MaskPointShape:
        """All that rebuilds the network."""
        own = {name: getattr(self.settings, name) for name in ("mask_ratio", "decoder_depth")}
        return MaskPointShape(encoder=self.encoder, **own)

    def network(self) -> nn.Module:
        """MaskPoint's network."""
        return MaskPointNetwork(self.shape)

    def about(self) -> dict[str, Any]:
        """What rebuilds the network."""
        return {"kind": "maskpoint", "shape": self.shape.model_dump(mode="json")}

    def extras(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Which patches are hidden, and the queries with what they are."""
        mask = draw_mask(draws, self.encoder.num_patches, self.shape.num_masked)
        random = draws.uniform(self.settings.fake_queries, 3)
        queries, labels = make_queries(batch.points, self.settings.real_queries, random)
        return {"mask": mask, "queries": queries, "labels": labels}

    def _losses(self, output: Told) -> Tensor:
        config = self.settings
        return focal_losses(output.logits, output.labels, config.focal_alpha, config.focal_gamma)

    def terms(self, output: Told, batch: Batch) -> Terms:
        """The mean over all known queries of the batch, also where several processes share it."""
        known = (output.labels != UNKNOWN).float()
        count = mean_over_processes(known.sum()).clamp(min=1)
        return Terms(self._losses(output).sum() / count, {"unknown": 1 - known.mean()})

    def kept(self, output: Told, batch: Batch) -> Tensor:
        """Sums: loss, known queries; right and all of the fake, right and all of the real ones."""
        found, labels = output.logits.float().argmax(dim=-1), output.labels
        counts = [self._losses(output).sum(), (labels != UNKNOWN).sum()]
        for label in (FAKE, REAL):
            counts += [((labels == label) & (found == label)).sum(), (labels == label).sum()]
        return torch.stack([count.double() for count in counts]).cpu()

    def measures(self, kept: Sequence[Tensor]) -> Measures:
        """Loss, and the mean of both classes' shares of right answers."""
        loss, known, *counts = torch.stack(list(kept)).sum(dim=0).tolist()
        shares = [counts[0] / max(counts[1], 1), counts[2] / max(counts[3], 1)]
        return {
            "val_loss": loss / max(known, 1),
            "val_accuracy": sum(shares) / 2,
            "chance_accuracy": 0.5,
        }

    def bars(self) -> Measures:
        """None but chance."""
        return {}
