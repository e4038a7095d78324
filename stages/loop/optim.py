"""The optimizer's parameter groups, and the schedules of rate and weight decay."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

# Learned inputs, which decay would only pull to zero; a class token's position decays in Point-MAE too.
UNDECAYED, DECAYED = ("queries", "token"), "cls_pos"
DETR_FIRST_LR = 1e-6  # of 3DETR's warm-up


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up by step, then a cosine to the lowest rate, over `epochs` of `steps` each.

    The first step has 1/warm-up of the rate, the last step before the cosine all of it; the very
    last step has the lowest. Of kind `3detr` it warms up from 1e-6, and counts the cosine from the first step,
    so that the rate falls a little where the warm-up ends (engine.py of facebookresearch/3detr @ a5d1aad).
    Of kind `linear` it falls in a line, as ClipCap's own training; the lowest rate would be the next step's.
    `weight_decay_to` None keeps the decay constant, else it follows a cosine from the first step to
    the last.
    """

    lr: float
    lowest_lr: float
    epochs: int
    warmup_epochs: float
    steps_per_epoch: int
    weight_decay: float
    weight_decay_to: float | None = None
    kind: Literal["cosine", "3detr", "linear"] = "cosine"

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm_up = round(self.warmup_epochs * self.steps_per_epoch)
        if self.kind == "3detr":
            if step <= warm_up and warm_up:
                return DETR_FIRST_LR + (self.lr - DETR_FIRST_LR) * step / warm_up
            return _cosine(self.lr, self.lowest_lr, step / self.total_steps)
        if step < warm_up:
            return self.lr * (step + 1) / warm_up
        if self.kind == "linear":
            left = (self.total_steps - step) / max(1, self.total_steps - warm_up)
            return self.lowest_lr + (self.lr - self.lowest_lr) * left
        done = (step - warm_up) / max(1, self.total_steps - 1 - warm_up)
        return _cosine(self.lr, self.lowest_lr, done)

    def decay(self, step: int) -> float:
        """The weight decay of a step."""
        if self.weight_decay_to is None:
            return self.weight_decay
        return _cosine(self.weight_decay, self.weight_decay_to, step / max(1, self.total_steps - 1))


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def parameter_groups(
    parameters: Iterable[tuple[str, nn.Parameter | Tensor]],
    rate_of: Callable[[str], float] = lambda _: 1.0,
    *,
    decay_all: bool = False,
) -> list[dict[str, Any]]:
    """Split named parameters into decayed and not: no biases, norms, queries or tokens decay.

    With `decay_all` everything does. Frozen ones are left out. Each group says `decayed`, for a schedule to set its weight decay, and
    `share`, what `rate_of` gives of the learning rate to parameters of that name.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter | Tensor]] = {}
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        decayed = decay_all or _decays(name.rsplit(".", 1)[-1], parameter)
        groups.setdefault((rate_of(name), decayed), []).append(parameter)
    return [
        {"params": members, "decayed": decayed, "share": share}
        for (share, decayed), members in sorted(
            groups.items(), key=lambda item: item[0], reverse=True
        )
    ]


def _decays(name: str, parameter: Tensor) -> bool:
    if name == DECAYED:
        return True
    return parameter.ndim > 1 and name != "bias" and not any(word in name for word in UNDECAYED)


def set_step(groups: Iterable[dict[str, Any]], schedule: Schedule, step: int) -> None:
    """Give an optimizer's groups the rate and the decay of a step."""
    for group in groups:
        group["lr"] = schedule.rate(step) * group["share"]
        group["weight_decay"] = schedule.decay(step) if group["decayed"] else 0.0
