"""What part segmentation is told."""

from typing import Literal

from pydantic import Field

from stages.loop.loop_config import LoopConfig
from stages.training.networks.shapes import EncoderShape
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.tasks.kinds import Description


class PartsConfig(FinetuneConfig):
    """Defaults are Point-MAE's for ShapeNetPart, which the paper follows."""

    data: str = "shapenetpart"  # the name of a prepared store
    model: Literal["transformer", "pointnet", "pointnet2", "dgcnn"] = "transformer"
    splits: tuple[str, ...] = ("train", "val")
    encoder: EncoderShape = EncoderShape(num_patches=128)
    head_width: int = Field(1024, ge=4)
    num_points: int = Field(2048, ge=32)
    scale: tuple[float, float] = (0.8, 1.25)  # one factor a shape
    shift: float = Field(0.1, ge=0)
    test_draws: int = Field(5, ge=1)
    training: LoopConfig = LoopConfig(
        epochs=300, batch=16, lr=2e-4, warmup_epochs=10, clip_norm=10.0
    )


DESCRIPTION = Description(
    config=PartsConfig,
    reads="objects",
    headlines=(("val_instance_miou", "instance mIoU"), ("val_class_miou", "class mIoU")),
    panels=(("mean IoU", ("val_instance_miou", "val_class_miou")),),
    shown=("shapes",),
)
