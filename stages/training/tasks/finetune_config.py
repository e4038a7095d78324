"""What every downstream task is told."""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from stages.loop.loop_config import LoopConfig
from stages.settings import Settings
from stages.training.networks.shapes import EncoderShape


def listed() -> Any:
    """A file that says what of the training data counts, all of it without one; not named if it is not given."""
    return Field(None, exclude_if=lambda path: path is None)


class FinetuneConfig(Settings):
    """What every downstream task has. Each task names its own `data`, a prepared set."""

    data: str
    name: str = Field("distill", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    encoder: EncoderShape = EncoderShape()
    # Of scratch: as in pre-training, or torch's defaults, as the reference's fine-tuning has it.
    init: Literal["pretraining", "torch"] = "pretraining"
    frozen_layers: int = Field(0, ge=0)  # the embedding is the first, each block one more
    layer_decay: float = Field(1.0, gt=0, le=1)  # of the rate, a layer towards the input
    training: LoopConfig = LoopConfig()

    @field_validator("num_points", check_fields=False)  # each task has its own
    @classmethod
    def _points_fill_patches(cls, num_points: int, info: ValidationInfo) -> int:
        is_ours = {info.data.get("model"), info.data.get("kind")} & {"transformer", "student"}
        if is_ours and "encoder" in info.data:
            info.data["encoder"].check_points(num_points)
        return num_points
