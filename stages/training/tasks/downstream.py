"""What the downstream tasks share: where weights start, what is frozen, which rate a layer has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stages.loop.task import Task
from stages.training.networks.encoder import encoder_layers
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.weights.first_weights import SCRATCH, Initial, Matched, apply_initial

CLASS_TOKEN = ("cls_token", "cls_pos")  # they enter with the embedding


@dataclass(frozen=True)
class Downstream:
    """A task ready for the loop; `finish` measures the trained network once more, at length."""

    task: Task
    matched: Matched
    finish: Callable[[nn.Module], dict[str, Any]]


def start(model: nn.Module, initial: Initial, config: FinetuneConfig) -> Matched:
    """Give a network its first weights."""
    if initial.source == SCRATCH and config.init == "torch":
        torch.manual_seed(config.training.seed)
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm | nn.BatchNorm1d):
                module.reset_parameters()
    return apply_initial(model, initial)


def layer_of(name: str, depth: int) -> int:
    """The layer of a parameter, by name: 0 the embedding, then each block, the norm, the head."""
    if name in CLASS_TOKEN:
        return 0
    for number, layer in enumerate(encoder_layers(depth)):
        if any(name.startswith(f"encoder.{module}.") for module in layer):
            return number
    return depth + 2


def frozen_modules(count: int, depth: int) -> tuple[str, ...]:
    """Names of the modules of the first layers. Raises ValueError if there are not so many."""
    if count > depth + 1:
        raise ValueError(f"frozen_layers: {count} of the {depth + 1} that an encoder has")
    frozen = encoder_layers(depth)[: depth + 2 if count == depth + 1 else count]
    return tuple(f"encoder.{module}" for layer in frozen for module in layer)


def rate_of(decay: float, depth: int) -> Callable[[str], float]:
    """The share of the learning rate of a parameter: less, the nearer to the input."""
    return lambda name: decay ** (depth + 2 - layer_of(name, depth)) if decay < 1 else 1.0
