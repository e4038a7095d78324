"""A fine-tuned network outside of its training: what it says of a cloud."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cache.checkpoint import has_checkpoint, read_meta
from stages.training.finetuning.finetune import read_run
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import work_of
from stages.training.weights.build import load_model


@dataclass(frozen=True)
class LoadedTask:
    """A fine-tuned network, with the task that it learned."""

    task: TaskName
    config: FinetuneConfig
    network: nn.Module
    about: Mapping[str, Any]

    def to(self, device: torch.device | str) -> "LoadedTask":
        """The same on a device."""
        self.network.to(device)
        return self

    @torch.no_grad()
    def predict(
        self, cloud: Tensor | NDArray[np.floating[Any]], *, category: str | None = None
    ) -> dict[str, Any]:
        """Say what is in a cloud (P, 3): an object, or of the tasks on scenes a scan, z up, in metres.

        - classification: `class`, a name; `probability` (K,) of `classes`;
        - parts, given the object's `category`: `part` (P,) of each point, of `parts`;
        - segmentation: `class` (P,) of each point, numbers of `classes`; `probability` (P, K);
        - detection: `boxes` (Q, 6), centre and size; `class` (Q,), names; `score` (Q,), falling.

        Raises ValueError if the cloud is none, or the category is needed and not known.
        """
        points = torch.as_tensor(cloud)
        if points.ndim != 2 or points.shape[1] != 3 or not len(points):
            raise ValueError(f"expected a cloud (P, 3), found {tuple(points.shape)}")
        if not points.isfinite().all():
            raise ValueError("a coordinate of the cloud is not finite; leave such points out")
        points = points.to(next(self.network.parameters()).device, torch.float32)
        predict = work_of(self.task).predict
        return predict(self.network, self.config, self.about, points, category)


def load_task(run: str | Path, *, weights: str = "last") -> LoadedTask:
    """Load a run of `finetune`, in evaluation mode, on the CPU; `weights` are `last` or `best`.

    Raises ValueError if there is no such run or checkpoint, or if it is of a version that does not say
    its classes.
    """
    folder = Path(run)
    task, _, config = read_run(folder)
    if not has_checkpoint(folder / weights):
        raise ValueError(f"{folder / weights}: no checkpoint there")
    about = read_meta(folder / weights).model
    if "classes" not in about:
        raise ValueError(f"{folder}: of an earlier version, which does not say its classes")
    return LoadedTask(task, config, load_model(folder / weights), about)
