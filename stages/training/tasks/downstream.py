"""What the downstream tasks share: where weights start, what is frozen, which rate a layer has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stages.loop.task import Task
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.weights.first_weights import SCRATCH, Initial, Matched, apply_initial


@dataclass(frozen=True)
class Downstream:
    """A task ready for the loop; `finish` measures the trained network once more, at length."""

    task: Task
    matched: Matched
    finish: Callable[[nn.Module], dict[str, Any]]
    inputs: dict[str, str]  # fingerprints of what it reads


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
    parts = name.split(".")
    if parts[0] != "encoder":
        return 0 if parts[0] in ("cls_token", "cls_pos") else depth + 2
    if parts[1] == "embedding" or parts[2] == "pos_embed":
        return 0
    return int(parts[3]) + 1 if parts[2] == "blocks" else depth + 1


def frozen_modules(count: int, depth: int) -> tuple[str, ...]:
    """Names of the modules of the first layers. Raises ValueError if there are not so many."""
    if count > depth + 1:
        raise ValueError(f"frozen_layers: {count} of the {depth + 1} that an encoder has")
    names = ["encoder.embedding", "encoder.transformer.pos_embed"] if count else []
    names += [f"encoder.transformer.blocks.{block}" for block in range(count - 1)]
    if count == depth + 1:
        names.append("encoder.transformer.norm")
    return tuple(names)


def rate_of(decay: float, depth: int) -> Callable[[str], float]:
    """The share of the learning rate of a parameter: less, the nearer to the input."""
    return lambda name: decay ** (depth + 2 - layer_of(name, depth)) if decay < 1 else 1.0
