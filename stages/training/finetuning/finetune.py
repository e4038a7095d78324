"""Fine-tuning on a downstream task: one run a seed, and what they come to together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cache.card import Card, fingerprint
from cache.runs import FINE_TUNING, RunFolder, read_card, write_json
from cache.scene_group import Listing
from stages.loop.cost import ask_for_patience
from stages.loop.loop import Outcome, train
from stages.loop.loop_config import LoopConfig
from stages.loop.processes import Processes, joined
from stages.training.finetuning.summary import but_for_seed, split_shown, summarise
from stages.training.tasks.downstream import Downstream
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of, work_of
from stages.training.weights.build import load_model
from stages.training.weights.first_weights import (
    SCRATCH,
    Initial,
    describe,
    load_initial,
    shown_otherwise,
)

KIND, SCHEMA_VERSION = FINE_TUNING, 2
SUMMARY = "result.json"


@dataclass(frozen=True)
class Finished:
    """All seeds' runs: the last one's outcome and folder, and the measures so far."""

    outcome: Outcome | None
    folder: Path
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Fixed:
    """What all seeds of a task share."""

    task: TaskName
    store: Listing
    initial: Initial
    device: torch.device
    processes: Processes
    overwrite: bool
    patient: bool
    say: Callable[[str], None]


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

    `init` is a checkpoint or `scratch`. Of seeds that are finished only the cards are read; a stopped
    one goes on. The table's numbers are of the last epoch. Raises CardError, and ValueError, also if
    it would take longer than half a day on a CPU and `patient` is false.
    """
    initial, listing = load_initial(init), Listing.read(store)
    outcome, folder = None, out
    with joined(device) as processes:
        fixed = _Fixed(task, listing, initial, device, processes, overwrite, patient, say)
        for number in range(seeds):
            seeded = _with_seed(config, number)
            folder = _seed_folder(out, seeded)
            outcome = _run_seed(fixed, seeded, folder)
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


def _run_seed(fixed: _Fixed, config: FinetuneConfig, out: Path) -> Outcome | None:
    """Train one seed's run; None if it is finished, which is asked before any data is read."""
    work = work_of(fixed.task)
    inputs = {**work.inputs(config, fixed.store), "init": _fingerprint(fixed.initial)}
    folder = RunFolder(out, _card(fixed.task, config, inputs), overwrite=fixed.overwrite)
    with folder.opened(fixed.processes):
        if folder.is_finished:
            return None
        downstream = work.build(config, fixed.store, fixed.initial, fixed.device)
        if not fixed.patient:
            ask_for_patience(downstream.task, config.training, fixed.device)
        if fixed.processes.is_first:
            _say_start(fixed, downstream)
        return _train(fixed, downstream, config.training, folder)


def _say_start(fixed: _Fixed, downstream: Downstream) -> None:
    fixed.say(f"from {fixed.initial.source}")
    for line in describe(downstream.matched):
        fixed.say(f"  {line}")
    if warning := shown_otherwise(fixed.initial, downstream.task.about):
        fixed.say(f"  {warning}")


def _train(fixed: _Fixed, downstream: Downstream, config: LoopConfig, folder: RunFolder) -> Outcome:
    """Train in an open folder, and at the end measure and write the result."""
    device, processes = fixed.device, fixed.processes
    outcome = train(downstream.task, config, folder, device=device, processes=processes)
    if outcome.finished and processes.is_first:
        model = load_model(folder.last).to(device)
        with torch.no_grad():
            measured = downstream.finish(model)
        final, shown = split_shown(measured, description_of(fixed.task).shown)
        folder.write_shown(shown)
        folder.write_result(
            {
                "run": folder.card.to_dict(),
                "init": fixed.initial.source,
                "last": outcome.metrics,
                "best": outcome.best,
                "final": final,
            }
        )
    processes.wait()
    return outcome


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


def read_run(run: Path) -> tuple[TaskName, Card, FinetuneConfig]:
    """Return a run's task, card and configuration. Raises ValueError if a folder holds none."""
    card = read_card(run)
    name = card.kind.removeprefix(f"{KIND}: ") if card else ""
    if card is None or name not in list(TaskName):
        raise ValueError(f"{run}: expected the folder of a run of finetune, such as .../seed0")
    task = TaskName(name)
    return task, card, description_of(task).config.model_validate(card.config)
