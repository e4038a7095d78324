"""Every task whose data is prepared, and one table of them.

All that can be seen without training is looked at first, so that a mistake costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cache.card import OtherConfigurationError
from cache.workspace import Workspace
from pipeline.choices import Choices
from pipeline.downstream import task_settings, why_no_data
from pipeline.finetuned import print_finetuning
from pipeline.packages import explained
from stages.machine.shares import own_share
from stages.settings import ConfigError
from stages.training.tasks.names import TaskName

if TYPE_CHECKING:
    import torch

    from stages.loop.loop import Outcome
    from stages.training.tasks.finetune_config import FinetuneConfig
    from stages.training.weights.first_weights import Initial

Summaries = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The tasks that can be run, with what each reads, and why others are left out."""

    tasks: "dict[TaskName, tuple[FinetuneConfig, Path]]"
    left_out: dict[str, str]
    table: Path
    paths: Workspace


@dataclass
class Results:
    """What became of the tasks: summaries, or why one failed, or the one that was stopped."""

    summaries: Summaries = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: "Outcome | None" = None


@dataclass(frozen=True)
class How:
    """What all tasks are run with. `speaks` of several processes the first one."""

    init: str
    seeds: int
    device: "torch.device"
    overwrite: bool
    patient: bool
    speaks: bool


def plan_tasks(name: str | None, choices: Choices) -> Plan:
    """Look which tasks have data; `name` is the runs' instead of the configured ones.

    Raises ConfigError if none has.
    """
    chosen = {task: task_settings(task, choices) for task in TaskName}
    if name is not None:
        chosen = {
            task: (_named(settings, name), store) for task, (settings, store) in chosen.items()
        }
    left_out = {
        task.value: why
        for task, (settings, _) in chosen.items()
        if (why := why_no_data(task, settings, choices.paths))
    }
    tasks = {task: what for task, what in chosen.items() if task.value not in left_out}
    if not tasks:
        reasons = "; ".join(dict.fromkeys(left_out.values()))
        raise ConfigError(f"no task's data is prepared: {reasons}")
    names = {settings.name for settings, _ in chosen.values()}
    table = choices.paths.finetuning_table(names.pop() if len(names) == 1 else "configured")
    return Plan(tasks, left_out, table, choices.paths)


def refuse_other_runs(plan: Plan, initial: "Initial", seeds: int) -> None:
    """Raise OtherConfigurationError if a run's folder holds another."""
    from stages.training.finetuning.finetune import other_runs

    said = []
    for task, (settings, _) in plan.tasks.items():
        out = plan.paths.finetuned(task.value, settings.name)
        others = other_runs(task, settings, initial=initial, out=out, seeds=seeds)
        said += [f"{folder}: {'; '.join(changes)}" for folder, changes in others.items()]
    if said:
        raise OtherConfigurationError(
            f"other runs have this name: {'; '.join(said)}. Give these another --name, or replace "
            "those with --overwrite"
        )


def run_all(plan: Plan, how: How) -> Results:
    """Run the tasks one after the other; one that fails does not stop the others."""
    from stages.training.finetuning import finetune as stage

    results = Results()
    for task, (settings, store) in plan.tasks.items():
        out = plan.paths.finetuned(task.value, settings.name)
        if how.speaks:
            typer.echo(f"finetune {task.value}")
        try:
            finished = stage.run(
                task, settings, store=store, init=how.init, out=out, device=how.device, seeds=how.seeds,
                overwrite=how.overwrite, patient=how.patient, say=typer.echo,
            )  # fmt: skip
        except (ValueError, OSError, RuntimeError, ArithmeticError, ImportError) as error:
            if own_share().count > 1:  # the others may not have failed, and would wait for this one
                raise
            results.failed[task.value] = explained(error)
            continue
        if how.speaks:
            print_finetuning(task, finished, out)
            results.summaries[task.value] = finished.summary
        if finished.outcome is not None and not finished.outcome.finished:
            results.stopped = finished.outcome
            break
    return results


def report(plan: Plan, results: Results, before: Mapping[str, Any]) -> None:
    """Write the table unless all was stopped, print it, and say what is not of this call."""
    from stages.report.tables.finetuned import print_table, write_table

    if not results.stopped:
        rows = {**before, **results.summaries}
        rows = {task.value: rows[task.value] for task in TaskName if task.value in rows}
        write_table(plan.table, rows, plan.left_out, results.failed)
        print_table(rows, typer.echo)
        typer.echo(f"  in {plan.table}")
        kept = [name for name in rows if name not in results.summaries]
        if kept:
            typer.echo(f"  from before: {', '.join(kept)}")
    for name, why in plan.left_out.items():
        typer.echo(f"  left out: {name}: {why}")
    for name, why in results.failed.items():
        typer.echo(f"  failed: {name}: {why}")


def _named(settings: "FinetuneConfig", name: str) -> "FinetuneConfig":
    """The same task under another name. Raises ConfigError if it cannot be one."""
    try:
        return type(settings).model_validate({**settings.model_dump(), "name": name})
    except ValueError:
        raise ConfigError(
            f"--name {name}: expected letters, digits, '_', '-' and '.', the first no sign"
        ) from None
