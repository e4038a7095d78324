"""What semantic segmentation is told."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from stages.geometry.cloud_input import Normalisation
from stages.loop.loop_config import LoopConfig
from stages.training.networks.shapes import NEIGHBORS, EncoderShape
from stages.training.tasks.finetune_config import FinetuneConfig, listed
from stages.training.tasks.kinds import Description


class SegmentationConfig(FinetuneConfig):
    """The paper's values; batch, schedule and augmentation, which it does not name, are ours."""

    data: str = "scannet"  # the name of a prepared set of scans
    model: Literal["transformer", "dgcnn", "pointnet2"] = "transformer"
    splits: tuple[str, ...] = ("train",)
    scenes: Path | None = listed()  # of these splits, a name a line
    points: Path | None = listed()  # the vertices that have a label, by scene
    encoder: EncoderShape = EncoderShape(num_patches=256)
    norm_input: Normalisation = "unit_sphere"  # of the transformer
    head_widths: tuple[int, int] = (512, 256)
    dropout: float = Field(0.5, ge=0, lt=1)
    num_points: int = Field(8192, ge=32)
    augment: bool = True
    scale: tuple[float, float] = (0.9, 1.1)
    test_draws: int = Field(5, ge=1)
    vote_rounds: int = Field(5, ge=1)  # over all vertices of a scan
    training: LoopConfig = LoopConfig(
        epochs=200, batch=16, optimizer="adam", lr=1e-3, weight_decay=0.01, warmup_epochs=10,
        clip_norm=10.0, validate_every_epochs=5,
    )  # fmt: skip

    @field_validator("model")
    @classmethod
    def _patches_suffice(cls, model: str, info: ValidationInfo) -> str:
        encoder = info.data.get("encoder")
        if model == "transformer" and encoder and encoder.num_patches < NEIGHBORS:
            raise ValueError(
                f"its head takes {NEIGHBORS} patches, encoder.num_patches is {encoder.num_patches}; "
                "raise it"
            )
        return model


DESCRIPTION = Description(
    config=SegmentationConfig,
    reads="scans",
    headlines=(("val_miou", "mIoU"), ("val_vertices_miou", "mIoU, all vertices")),
    panels=(("mean IoU", ("val_miou",)), ("accuracy", ("val_accuracy",))),
    shown=("scenes",),
)
