"""A fine-tuning's checkpoint, measured again on the data as it is prepared now."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from cache.checkpoint import has_checkpoint, read_meta
from cache.runs import read_result, write_json
from cache.scene_group import Listing
from stages.training.finetuning.finetune import read_run
from stages.training.finetuning.summary import measures_of, split_shown
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of, work_of
from stages.training.weights.build import load_model

Weights = Literal["last", "best"]


@dataclass(frozen=True)
class Evaluated:
    """What was measured after which epoch, and what the run itself had measured of these weights.

    `changed` names the parts of the data (train, val, test) that are not the run's any more.
    """

    task: str
    epoch: int
    measures: dict[str, float]
    before: dict[str, float]
    changed: tuple[str, ...]


def run(
    run: Path,
    store_of: Callable[[TaskName, FinetuneConfig], Path],
    *,
    weights: Weights = "last",
    device: torch.device,
) -> Evaluated:
    """Measure a run's checkpoint as its end does, and write `evaluated_<weights>.json` beside it.

    The run may still be going on. Only the held split is read. `store_of` gives the store that a task's
    configuration reads. Raises ValueError if there is no such run or checkpoint, or if the data is not
    prepared.
    """
    task, card, config = read_run(run)
    path = run / weights
    if not has_checkpoint(path):
        raise ValueError(f"{path}: no checkpoint yet; the run saves one as it goes")
    store = store_of(task, config)
    if not store.is_dir():
        raise ValueError(f"{store}: is not there; run prepare first")
    work, listing = work_of(task), Listing.read(store)
    inputs = work.inputs(config, listing)
    measure = work.measure(config, listing, device)
    epoch = int(read_meta(path).position["epoch"])
    with torch.no_grad():
        found, _ = split_shown(measure(load_model(path).to(device)), description_of(task).shown)
    result = read_result(run)
    evaluated = Evaluated(
        task,
        epoch,
        measures_of(found),
        measures_of(result["final"]) if result and weights == "last" else {},
        tuple(name for name in inputs if inputs[name] != card.inputs.get(name)),
    )
    write_json(
        run / f"evaluated_{weights}.json",
        {"weights": weights, "epoch": epoch, "inputs": inputs, "final": found},
    )
    return evaluated
