"""What classification is told."""

from typing import Literal

from pydantic import Field

from stages.loop.loop_config import LoopConfig
from stages.training.augmentation import SCALE, TRANSLATION
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.tasks.kinds import Description

# So many farthest points are drawn from, for so many in (Point-MAE's runner).
POOL = {1024: 1200, 2048: 2400, 4096: 4800, 8192: 8192}


class ClassificationConfig(FinetuneConfig):
    """Defaults are Point-MAE's for ModelNet40, which the paper follows."""

    data: str = "modelnet40"  # the name of a prepared store
    model: Literal["transformer", "pointnet", "pointnet2", "dgcnn"] = "transformer"
    num_points: int = Field(1024, ge=32)
    scale: tuple[float, float] = SCALE
    translation: float = Field(TRANSLATION, ge=0)
    votes: int = Field(10, ge=1)
    vote_repeats: int = Field(10, ge=0)  # the official test script takes the best of 299
    training: LoopConfig = LoopConfig(
        epochs=300, batch=32, lr=5e-4, warmup_epochs=10, clip_norm=10.0
    )

    @property
    def pool(self) -> int:
        """How many farthest points the training draws from."""
        return POOL.get(self.num_points, self.num_points * 1200 // 1024)


DESCRIPTION = Description(
    config=ClassificationConfig,
    reads="objects",
    headlines=(("val_accuracy", "accuracy"), ("voting_mean", "accuracy, voting")),
    panels=(("accuracy", ("val_accuracy", "val_class_accuracy")),),
    shown=(),
)
