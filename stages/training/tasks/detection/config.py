"""What detection is told."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from stages.geometry.cloud_input import Normalisation
from stages.loop.loop_config import LoopConfig
from stages.settings import Settings
from stages.training.networks.shapes import DetrEncoderShape, EncoderShape
from stages.training.tasks.finetune_config import FinetuneConfig, listed
from stages.training.tasks.kinds import Description


class CriterionConfig(Settings):
    """Costs of the matching, weights of the losses."""

    cost_class: float = Field(1.0, ge=0)
    cost_objectness: float = Field(0.0, ge=0)
    cost_center: float = Field(0.0, ge=0)
    cost_giou: float = Field(2.0, ge=0)
    weight_class: float = Field(1.0, ge=0)
    weight_center: float = Field(5.0, ge=0)
    weight_size: float = Field(1.0, ge=0)
    weight_angle: float = Field(0.5, ge=0)
    weight_giou: float = Field(1.0, ge=0)
    no_object: float = Field(0.25, ge=0)  # weight of that class


class DetectionConfig(FinetuneConfig):
    """Defaults are those of 3DETR's published ScanNet script, the encoder the paper's."""

    data: str = "scannet"  # the name of a prepared set of scans
    kind: Literal["student", "3detr"] = "student"
    encoder: EncoderShape = EncoderShape(num_patches=2048)
    own: DetrEncoderShape = DetrEncoderShape()  # of `kind: 3detr`
    norm_input: Normalisation = "unit_sphere"  # what our encoder sees
    decoder_width: int = Field(256, ge=2, multiple_of=2)
    decoder_layers: int = Field(8, ge=1)
    decoder_heads: int = Field(4, ge=1)
    num_queries: int = Field(256, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    head_dropout: float = Field(0.3, ge=0, lt=1)
    scenes: Path | None = listed()  # to learn from, a name a line
    vertices: Literal["all", "votenet_50k"] = "all"
    num_points: int = Field(40_000, ge=64)
    augment: bool = True
    cuboid_min_points: int = Field(30_000, ge=1)
    criterion: CriterionConfig = CriterionConfig()
    test_draws: int = Field(5, ge=1)
    training: LoopConfig = LoopConfig(
        epochs=720, batch=8, lr=5e-4, schedule="3detr", warmup_epochs=9, weight_decay=0.1,
        weight_decay_on="all", clip_norm=0.1, validate_every_epochs=10,
    )  # fmt: skip


DESCRIPTION = Description(
    config=DetectionConfig,
    reads="scans",
    headlines=(("val_ap25", "AP25"), ("val_ap50", "AP50")),
    panels=(("average precision", ("val_ap25", "val_ap50")),),
    shown=("boxes",),
)
