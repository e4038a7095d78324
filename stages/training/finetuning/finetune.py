"""Fine-tuning on a downstream task: one run a seed, and what they come to together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cache.card import Card, fingerprint
from cache.runs import FINE_TUNING, RunFolder, read_card, write_json
from stages.loop.cost import ask_for_patience
from stages.loop.loop import Outcome, train
from stages.loop.loop_config import LoopConfig
from stages.loop.processes import Processes, joined
from stages.training.finetuning.summary import SHOWN, but_for_seed, summarise, without_shown
from stages.training.tasks.classification import task as classification
from stages.training.tasks.classification.config import ClassificationConfig
from stages.training.tasks.detection import task as detection
from stages.training.tasks.detection.config import DetectionConfig
from stages.training.tasks.downstream import Downstream
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.tasks.names import TaskName
from stages.training.tasks.parts import task as parts
from stages.training.tasks.parts.config import PartsConfig
from stages.training.tasks.segmentation import task as segmentation
from stages.training.tasks.segmentation.config import SegmentationConfig
from stages.training.weights.build import load_model
from stages.training.weights.first_weights import (
    SCRATCH,
    Initial,
    describe,
    load_initial,
    shown_otherwise,
)

KIND, SCHEMA_VERSION = FINE_TUNING, 2
TASKS: dict[str, type[FinetuneConfig]] = {
    "classification": ClassificationConfig,
    "parts": PartsConfig,
    "segmentation": SegmentationConfig,
    "detection": DetectionConfig,
}
SUMMARY = "result.json"


@dataclass(frozen=True)
class Finished:
    """All seeds' runs: the last one's outcome and folder, and the measures so far."""

    outcome: Outcome | None
    folder: Path
    summary: dict[str, Any]


def run(
    task: TaskName,
    config: FinetuneConfig,
    *,
    store: Path,
    init: str,
    out: Path,
    device: torch.device,
    seeds: int = 1,
    overwrite: bool = False,
    patient: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Finished:
    """Fine-tune once for each seed, from `config.training.seed` on, in `out/seed<n>`.

    `init` is a checkpoint or `scratch`. Seeds that are finished are not run again; a stopped one goes
    on. The table's numbers are of the last epoch. Raises CardError, and ValueError, also if it would
    take longer than half a day on a CPU and `patient` is false.
    """
    initial = load_initial(init)
    outcome, folder = None, out
    with joined(device) as processes:
        for number in range(seeds):
            seeded = _with_seed(config, number)
            folder = _seed_folder(out, seeded)
            outcome = _run_seed(
                task,
                seeded,
                store,
                initial,
                folder,
                device,
                processes,
                overwrite,
                patient,
                say,
            )
            if outcome and not outcome.finished:
                break
        if processes.is_first:
            card = read_card(folder)
            assert card is not None
            summary = summarise(task, out, initial.source, but_for_seed(card.to_dict()))
            write_json(out / SUMMARY, summary)
        processes.wait()
    return Finished(outcome, folder, summary if processes.is_first else {})


def other_runs(
    task: TaskName, config: FinetuneConfig, *, initial: Initial, out: Path, seeds: int
) -> dict[Path, list[str]]:
    """How runs that lie where these would go differ from them, by folder; reads cards only.

    Of the data it knows nothing: whether that is the same is seen when it is read. Raises CardError.
    """
    start = _fingerprint(initial)
    found = {}
    for number in range(seeds):
        seeded = _with_seed(config, number)
        folder = _seed_folder(out, seeded)
        if there := read_card(folder):
            card = _card(task, seeded, {**there.inputs, "init": start})
            if changes := RunFolder(folder, card).other_run():
                found[folder] = changes
    return found


def _with_seed(config: FinetuneConfig, number: int) -> FinetuneConfig:
    """The configuration of the run so many seeds after the first."""
    training = config.training
    training = training.model_copy(update={"seed": training.seed + number})
    return config.model_copy(update={"training": training})


def _seed_folder(out: Path, config: FinetuneConfig) -> Path:
    """Where the run of a seed lies."""
    return out / f"seed{config.training.seed}"


def _card(task: TaskName, config: FinetuneConfig, inputs: dict[str, str]) -> Card:
    return Card(f"{KIND}: {task}", SCHEMA_VERSION, config.model_dump(mode="json"), inputs)


def _run_seed(
    task: TaskName,
    config: FinetuneConfig,
    store: Path,
    initial: Initial,
    out: Path,
    device: torch.device,
    processes: Processes,
    overwrite: bool,
    patient: bool,
    say: Callable[[str], None],
) -> Outcome | None:
    downstream = build_task(task, config, store, initial, device)
    inputs = {**downstream.inputs, "init": _fingerprint(initial)}
    folder = RunFolder(out, _card(task, config, inputs), overwrite=overwrite)
    with folder.opened(processes):
        if folder.is_finished:
            return None
        if not patient:
            ask_for_patience(downstream.task, config.training, device)
        if processes.is_first:
            say(f"from {initial.source}")
            for line in describe(downstream.matched):
                say(f"  {line}")
            if warning := shown_otherwise(initial, downstream.task.about):
                say(f"  {warning}")
        return _train(downstream, config.training, folder, initial.source, device, processes)


def _train(
    downstream: Downstream,
    config: LoopConfig,
    folder: RunFolder,
    source: str,
    device: torch.device,
    processes: Processes,
) -> Outcome:
    """Train in an open folder, and at the end measure and write the result."""
    outcome = train(downstream.task, config, folder, device=device, processes=processes)
    if outcome.finished and processes.is_first:
        model = load_model(folder.last).to(device)
        with torch.no_grad():
            measured = downstream.finish(model)
        folder.write_shown({key: measured[key] for key in SHOWN if key in measured})
        folder.write_result(
            {
                "run": folder.card.to_dict(),
                "init": source,
                "last": outcome.metrics,
                "best": outcome.best,
                "final": without_shown(measured),
            }
        )
    processes.wait()
    return outcome


def build_task(
    task: str, config: FinetuneConfig, store: Path, initial: Initial, device: torch.device
) -> Downstream:
    """Read a task's data and make its network. Raises ValueError if the data is not all there."""
    match config:
        case ClassificationConfig():
            return classification.build(config, store, initial, device)
        case PartsConfig():
            return parts.build(config, store, initial, device)
        case DetectionConfig():
            return detection.build(config, store, initial, device)
        case SegmentationConfig():
            return segmentation.build(config, store, initial, device)
        case _:
            raise AssertionError(task)


def _fingerprint(initial: Initial) -> str:
    """Tell weights apart, cheaply: their names, shapes and sums."""
    if initial.source == SCRATCH:
        return SCRATCH
    return fingerprint(
        {
            name: [list(value.shape), value.double().sum().item()]
            for name, value in initial.tensors.items()
            if name.startswith("encoder.")
        }
    )


def read_run(run: Path) -> tuple[str, Card, FinetuneConfig]:
    """Return a run's task, card and configuration. Raises ValueError if a folder holds none."""
    card = read_card(run)
    task = card.kind.removeprefix(f"{KIND}: ") if card else ""
    if card is None or task not in TASKS:
        raise ValueError(f"{run}: expected the folder of a run of finetune, such as .../seed0")
    return task, card, TASKS[task].model_validate(card.config)
