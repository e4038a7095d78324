"""What the loop needs to know of a training: pre-training and each downstream task is one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from stages.loop.random_numbers import Draws


@dataclass(frozen=True)
class Terms:
    """The loss of a batch, and scalars to log beside it."""

    total: Tensor
    logged: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A model, its training rows 0 to `num_rows` - 1, its loss, its evaluation.

    - `about` rebuilds the model, as plain JSON types (see `weights.build.build_model`);
    - `losses(model, rows, draws)` is the loss of some rows, augmented by those draws;
    - `inputs(rows)` is what these rows hold, to be saved when a loss is not finite;
    - `evaluate(model)` measures on held rows; None if there are none;
    - `headline` is the measure that chooses the best checkpoint;
    - `frozen` modules, by name, neither learn nor follow the batches;
    - `rate_of` gives parameters of a name their share of the learning rate.
    """

    model: nn.Module
    about: dict[str, Any]
    num_rows: int
    losses: Callable[[nn.Module, Tensor, Draws], Terms]
    inputs: Callable[[Tensor], dict[str, Tensor]]
    evaluate: Callable[[nn.Module], dict[str, float]] | None
    headline: str
    larger_is_better: bool
    frozen: tuple[str, ...] = ()
    rate_of: Callable[[str], float] = lambda _: 1.0
