"""How a training goes: epochs, batch, optimizer, schedule."""

from typing import Literal

from pydantic import Field

from stages.settings import Settings


class LoopConfig(Settings):
    """How a task is trained. Defaults are the paper's pre-training (Table 8), and Point-MAE's."""

    epochs: int = Field(250, ge=1)
    batch: int = Field(128, ge=1)  # clouds a step, over all devices
    accumulate: int = Field(1, ge=1)  # micro-batches a step on each device
    optimizer: Literal["adamw", "adam"] = "adamw"  # adam adds the decay to the gradient
    lr: float = Field(1e-3, gt=0)
    lowest_lr: float = Field(1e-6, ge=0)
    warmup_epochs: float = Field(10, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    weight_decay_schedule: Literal["constant", "cosine"] = "constant"
    weight_decay_on: Literal["weights", "all"] = "weights"  # all: biases and norms too
    schedule: Literal["cosine", "3detr", "linear"] = "cosine"  # see optim.Schedule
    clip_norm: float | None = Field(None, gt=0)
    ema: float | None = Field(None, gt=0, lt=1)  # decay a step of the averaged weights
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    sync_bn: bool = True
    validate_every_epochs: int = Field(1, ge=1)
    keep_every_epochs: int | None = Field(None, ge=1)  # weights that stay, to be looked at later
    seed: int = Field(0, ge=0)
