"""What the training of a ClipCap is told."""

from typing import Literal

from pydantic import Field

from stages.loop.loop_config import LoopConfig
from stages.settings import Settings


class SmallTower(Settings):
    """A small image tower from nothing: a timm trunk inside open_clip."""

    trunk: str = "test_resnet"
    image_size: int = Field(64, ge=32)
    embed_dim: int = Field(128, ge=8)


class SmallLanguageModel(Settings):
    """A small GPT-2 from nothing, its tokenizer trained on the captions."""

    width: int = Field(128, ge=64, multiple_of=64)  # 64 a head
    layers: int = Field(2, ge=1)
    vocabulary: int = Field(1024, ge=300)


class TeacherTrainConfig(Settings):
    """What is trained, and how. Defaults are the official MLP recipe."""

    name: str = Field("trained", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    tower: str = "ViT-B-32-quickgelu"
    pretrained: str = "openai"
    small_tower: SmallTower | None = None  # instead of `tower`
    train_tower: bool = False
    language_model: str = "gpt2"  # on the hub, or a folder
    small_language_model: SmallLanguageModel | None = None  # instead of `language_model`
    train_language_model: bool = True
    mapper: Literal["mlp", "transformer"] = "mlp"
    prefix_length: int = Field(10, ge=1)
    epochs: int = Field(10, ge=1)  # over the images; one of its captions is drawn each time
    batch_images: int = Field(40, ge=1)
    lr: float = Field(2e-5, gt=0)
    warmup_steps: int = Field(5000, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    shift: float = Field(0.0, ge=0, le=0.5)  # of a trained tower's images, in image sizes
    flip: bool = False  # left and right; leave it off if captions name them
    word_loss: float = Field(0.0, ge=0)  # weight of naming the caption's words from the embedding
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)

    def of_the_loop(self, num_rows: int) -> LoopConfig:
        """The same as the loop has it, for so many training images."""
        batch = min(self.batch_images, num_rows)
        steps = num_rows // batch
        warmup_steps = min(self.warmup_steps, self.epochs * steps // 2)
        return LoopConfig(
            epochs=self.epochs,
            batch=batch,
            lr=self.lr,
            lowest_lr=0.0,
            schedule="linear",
            warmup_epochs=warmup_steps / steps,
            weight_decay=self.weight_decay,
            weight_decay_on="all",
            clip_norm=self.clip_norm,
            precision=self.precision,
            seed=self.seed,
        )
