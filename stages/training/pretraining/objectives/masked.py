"""Masked autoencoding: rebuild the points of patches that the encoder did not see.

Point-MAE's objective, and with another decoder the paper's "only reconstruction".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stages.geometry.chamfer import ChamferKind, chamfer_loss
from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from stages.training.networks.joint import JointPrediction
from stages.training.networks.masked import MaskedAutoencoder, Rebuilt
from stages.training.networks.shapes import EncoderShape, MaskedShape
from stages.training.pretraining.objectives.objective import Batch, Measures
from stages.training.pretraining.objectives.settings import MaskedSettings

PATCHES_AT_A_TIME = 1 << 14
Points = tuple[Tensor, Tensor]  # of masked patches, rebuilt and true, (M, K, 3)


def draw_mask(draws: Draws, num_patches: int, num_masked: int) -> Tensor:
    """Hide so many patches of each cloud at random: (B, G) bool."""
    scores = draws.uniform(num_patches)
    hidden = scores.topk(num_masked, dim=1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, hidden, True)


def reconstruction_loss(output: Rebuilt | JointPrediction, kind: ChamferKind) -> Tensor:
    """Chamfer distance of masked patches, each relative to its centre, in float32."""
    return chamfer_loss(output.rebuilt.flatten(0, 1), output.true.flatten(0, 1), kind)


@dataclass(frozen=True)
class MaskedPatches:
    """Rebuild masked patches; measured against one and the same patch for all."""

    settings: MaskedSettings
    encoder: EncoderShape
    headline: str = field(default="val_loss", init=False)
    needs_whole_batch: bool = field(default=False, init=False)

    @property
    def shape(self) -> MaskedShape:
        """All that rebuilds the network."""
        own = {name: getattr(self.settings, name) for name in ("mask_ratio", "decoder_depth")}
        return MaskedShape(encoder=self.encoder, **own)

    def network(self) -> nn.Module:
        """An autoencoder."""
        return MaskedAutoencoder(self.shape)

    def about(self) -> dict[str, Any]:
        """What rebuilds the network."""
        return {"kind": "masked autoencoder", "shape": self.shape.model_dump(mode="json")}

    def extras(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Which patches are hidden."""
        return {"mask": draw_mask(draws, self.encoder.num_patches, self.shape.num_masked)}

    def terms(self, output: Rebuilt, batch: Batch) -> Terms:
        """The Chamfer distance."""
        return Terms(reconstruction_loss(output, self.settings.chamfer))

    def kept(self, output: Rebuilt, batch: Batch) -> Points:
        """Masked patches, rebuilt and true."""
        return points_kept(output)

    def measures(self, kept: Sequence[Points]) -> Measures:
        """Chamfer distance, and how much better it is than one patch for all."""
        loss, gain = rebuilt_measures(kept, self.settings.chamfer)
        return {"val_loss": loss, "val_rebuilt": gain}

    def bars(self) -> Measures:
        """None but the one patch for all."""
        return {}


def points_kept(output: Rebuilt | JointPrediction) -> Points:
    """Masked patches of a held batch, rebuilt and true, (M, K, 3) in float32."""
    return output.rebuilt.float().flatten(0, 1), output.true.float().flatten(0, 1)


def rebuilt_measures(kept: Sequence[Points], kind: ChamferKind) -> tuple[float, float]:
    """The mean loss of held patches, and 1 minus it over that of the mean of all that was rebuilt.

    The second is 0 for a network that rebuilds the same patch whatever it sees.
    """
    rebuilt, true = (torch.cat(side) for side in zip(*kept, strict=True))
    loss = _mean_loss(rebuilt, true, kind)
    constant = rebuilt.mean(dim=0, keepdim=True).expand_as(rebuilt)
    of_constant = _mean_loss(constant, true, kind)
    return loss, 1 - loss / max(of_constant, 1e-30)


def _mean_loss(rebuilt: Tensor, true: Tensor, kind: ChamferKind) -> float:
    parts = zip(rebuilt.split(PATCHES_AT_A_TIME), true.split(PATCHES_AT_A_TIME), strict=True)
    return sum(chamfer_loss(one, other, kind).item() * len(one) for one, other in parts) / len(true)
