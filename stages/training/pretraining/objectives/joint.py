"""Distillation and reconstruction at once (the paper's Table 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from stages.training.networks.joint import JointPrediction, JointStudent
from stages.training.networks.shapes import JointShape
from stages.training.pretraining.objectives.distillation import distillation_loss
from stages.training.pretraining.objectives.frames import WholeFrame
from stages.training.pretraining.objectives.masked import (
    Points,
    draw_mask,
    points_kept,
    rebuilt_measures,
    reconstruction_loss,
)
from stages.training.pretraining.objectives.objective import Batch, Measures
from stages.training.pretraining.objectives.settings import JointSettings

OWN = ("mask_ratio", "decoder_depth", "passes")


@dataclass(frozen=True)
class Joint(WholeFrame):
    """The sum of both losses, the second by its weight."""

    settings: JointSettings

    @property
    def joint_shape(self) -> JointShape:
        """All that rebuilds the network."""
        own = {name: getattr(self.settings, name) for name in OWN}
        return JointShape.model_validate({**self.shape.model_dump(), **own})

    def network(self) -> nn.Module:
        """A student with a decoder."""
        model = JointStudent(self.joint_shape)
        self.tell_statistics(model)
        return model

    def about(self) -> dict[str, Any]:
        """What rebuilds the network."""
        return {"kind": "joint student", "shape": self.joint_shape.model_dump(mode="json")}

    def extras(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Which patches are hidden from the reconstruction."""
        masked = self.joint_shape.masked
        return {"mask": draw_mask(draws, self.encoder.num_patches, masked.num_masked)}

    def terms(self, output: JointPrediction, batch: Batch) -> Terms:  # type: ignore[override]
        """Both losses."""
        distilled = distillation_loss(output.prediction, self._target(batch), self.settings.loss)
        rebuilt = reconstruction_loss(output, self.settings.chamfer)
        return Terms(
            distilled + self.settings.reconstruction_weight * rebuilt,
            {"loss_distillation": distilled, "loss_reconstruction": rebuilt},
        )

    def bars(self) -> Measures:
        """A ridge regression's; its loss is of the distillation alone."""
        found = super().bars()
        distilled = found.pop("ridge_val_loss")
        return {"ridge_val_distillation": distilled, **found}

    def kept(self, output: JointPrediction, batch: Batch) -> tuple[Tensor, Points]:  # type: ignore[override]
        """The prediction, and masked patches."""
        return output.prediction.float(), points_kept(output)

    def measures(self, kept: Sequence[tuple[Tensor, Points]]) -> Measures:  # type: ignore[override]
        """What each of the two reaches; `val_loss` is their sum as in training."""
        found = self.of_predictions([prediction for prediction, _ in kept])
        loss, gain = rebuilt_measures([points for _, points in kept], self.settings.chamfer)
        distilled = found.pop("val_loss")
        return {
            "val_loss": distilled + self.settings.reconstruction_weight * loss,
            "val_distillation": distilled,
            "val_reconstruction": loss,
            "val_rebuilt": gain,
            **found,
        }
