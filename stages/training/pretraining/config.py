"""What pre-training is told."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from stages.geometry.cloud_input import Normalisation
from stages.loop.loop_config import LoopConfig
from stages.settings import Settings
from stages.training.augmentation import SCALE, TRANSLATION
from stages.training.networks.shapes import EncoderShape

Loss = Literal["mse", "cosine", "infonce"]
Up = Literal["z", "-z", "y", "-y", "x", "-x"]


# The curves of a pre-training: a title, and the logged measures under it.
PANELS = (
    ("R2 on held frames", ("val_r2", "val_direction_r2")),
    ("retrieval among held frames", ("val_top1", "val_top5", "chance_top1", "chance_top5")),
)


class PretrainConfig(Settings):
    """What is learned, by whom, from what. Defaults are the paper's."""

    name: str = Field("distill", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    teacher: str = "clipcap"  # whose prefixes, by the name of its store
    splits: tuple[str, ...] = ("train",)
    held_splits: tuple[str, ...] = ("val",)  # for the validation loss; none if empty
    encoder: EncoderShape = EncoderShape()
    num_concepts: int = Field(32, ge=1)
    head: Literal["flatten", "mixer"] = "flatten"
    num_points: int = Field(4096, ge=32)
    norm_input: Normalisation = "unit_sphere"
    frame: Literal["camera", "gravity"] = "camera"
    # Of gravity: the axis that is up in the world of the poses. ScanNet's is z; 7-Scenes has none.
    up: Up = "z"
    points: Literal["all", "in_view"] = "all"  # in_view: only what the teacher's crop shows
    scale: tuple[float, float] = SCALE
    translation: float = Field(TRANSLATION, ge=0)
    loss: Loss = "mse"
    target_norm: Literal["none", "standardize"] = "none"
    training: LoopConfig = LoopConfig()

    @field_validator("num_points")
    @classmethod
    def _points_fill_patches(cls, num_points: int, info: ValidationInfo) -> int:
        if "encoder" in info.data:
            info.data["encoder"].check_points(num_points)
        return num_points
