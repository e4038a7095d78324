"""What pre-training is told."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stages.geometry.cloud_input import Normalisation
from stages.loop.loop_config import LoopConfig
from stages.settings import Settings
from stages.training.augmentation import SCALE, TRANSLATION
from stages.training.networks.shapes import EncoderShape
from stages.training.pretraining.objectives.settings import (
    ConceptSettings,
    MaskedSettings,
    ObjectiveSettings,
    TargetNorm,
)

Up = Literal["z", "-z", "y", "-y", "x", "-x"]


# The curves of a pre-training: a title, and the logged measures under it.
PANELS = (
    ("R2 on held frames", ("val_r2", "val_direction_r2")),
    ("retrieval among held frames", ("val_top1", "val_top5", "chance_top1", "chance_top5")),
    ("masked patches rebuilt, beyond one for all", ("val_rebuilt",)),
    ("queries told, on held frames", ("val_accuracy", "chance_accuracy")),
)
# Settings that once stood beside `objective`.
MOVED = ("loss", "head", "num_concepts")


class PretrainConfig(Settings):
    """What is learned, by whom, from what. Defaults are the paper's."""

    name: str = Field("distill", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    # What is learned, by the name of its store; without one all frames are taken, if nothing is distilled.
    teacher: str | None = "clipcap"
    splits: tuple[str, ...] = ("train",)
    held_splits: tuple[str, ...] = ("val",)  # for the validation loss; none if empty
    objective: ObjectiveSettings = ConceptSettings()
    encoder: EncoderShape = EncoderShape()
    num_points: int = Field(4096, ge=32)
    norm_input: Normalisation = "unit_sphere"
    frame: Literal["camera", "gravity"] = "camera"
    # Of gravity: the axis that is up in the world of the poses. ScanNet's is z; 7-Scenes has none.
    up: Up = "z"
    points: Literal["all", "in_view"] = "all"  # in_view: only what the teacher's crop shows
    scale: tuple[float, float] = SCALE
    translation: float = Field(TRANSLATION, ge=0)
    target_norm: TargetNorm = "none"
    # A control: training frames have the targets of other rooms' frames, so that nothing can be learned.
    control: Literal["none", "shuffled_targets"] = "none"
    training: LoopConfig = LoopConfig()

    @property
    def needs_cameras(self) -> bool:
        """Whether it matters where a frame's camera stood or what the teacher saw."""
        own = self.frame == "gravity" or self.points == "in_view"
        return own or self.objective.needs_cameras

    def without_targets(self) -> "PretrainConfig":
        """The same clouds, of all frames, with nothing of a teacher's."""
        own = {"teacher": None, "objective": MaskedSettings(), "control": "none", "points": "all"}
        return self.model_copy(update=own)

    @model_validator(mode="before")
    @classmethod
    def _names_of_today(cls, values: Any) -> Any:
        for name in MOVED if isinstance(values, dict) else ():
            if name in values:
                raise ValueError(f"pretrain.{name} is now pretrain.objective.{name}")
        return values

    @model_validator(mode="after")
    def _targets_are_there(self) -> Self:
        arrays = self.objective.arrays
        if self.teacher is None and (arrays or self.points == "in_view"):
            what = f"objective {self.objective.kind}" if arrays else "points: in_view"
            raise ValueError(f"{what} needs a teacher; name its store with pretrain.teacher")
        if self.control == "shuffled_targets" and not arrays:
            raise ValueError(
                f"objective {self.objective.kind} has no targets to shuffle; use control: none"
            )
        return self

    @field_validator("num_points")
    @classmethod
    def _points_fill_patches(cls, num_points: int, info: ValidationInfo) -> int:
        if "encoder" in info.data:
            info.data["encoder"].check_points(num_points)
        return num_points
