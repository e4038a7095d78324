"""The command `finetune-all`: every task whose data is prepared, and one table of them.

All that can be seen without training is looked at first, so that a mistake costs nothing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cache.card import OtherConfigurationError
from cache.workspace import Workspace
from pipeline.commands.finetune import (
    Init,
    Seeds,
    Task,
    check_parts,
    configured_start,
    fine_tune,
    task_settings,
    why_no_data,
)
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Failure,
    Overrides,
    Overwrite,
    Root,
    exit_if_stopped,
    is_first_process,
    open_device,
    wrong_usage,
)
from pipeline.packages import explained
from stages.settings import ConfigError

if TYPE_CHECKING:
    from stages.loop.loop import Outcome
    from stages.training.tasks.finetune_config import FinetuneConfig


@dataclass(frozen=True)
class Plan:
    """The tasks that can be run, with what each reads, and why others are left out."""

    tasks: "dict[Task, tuple[FinetuneConfig, Path]]"
    left_out: dict[str, str]
    table: Path


@dataclass
class Results:
    """What became of the tasks: summaries, or why one failed, or the one that was stopped."""

    summaries: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: "Outcome | None" = None


def finetune_all(
    init: Init = None,
    seeds: Seeds = 1,
    name: Annotated[
        str | None, typer.Option(help="The runs' name in each task; default: the configured ones.")
    ] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Fine-tune a student on every task whose data is prepared, and end with one table.

    Finished runs are not run again, stopped ones go on. A task that fails does not stop the others, and
    its row of an earlier table stays. Nothing begins if any run's name is taken by another one.
    SIGTERM, Ctrl-C and a closed terminal stop all, saved (exit code 143, 130 or 129), without a table.
    """
    paths = Workspace(workspace)
    check_parts(list(Task), init, paths)

    from stages.loop.processes import joined
    from stages.report.tables.finetuned import read_table

    init = init or configured_start(config, overrides, paths)
    plan = _plan(name, config, overrides, paths)
    _refuse_other_runs(plan, init, seeds, overwrite, paths)
    before = read_table(plan.table)
    with joined(open_device(device)):
        results = _run_all(plan, init, seeds, device, overwrite, paths)
    if is_first_process():
        _report(plan, results, before)
    exit_if_stopped(results.stopped)
    if results.failed:
        raise Failure(f"{', '.join(results.failed)}: failed, see above")


def _plan(name: str | None, config: str, overrides: Sequence[str], paths: Workspace) -> Plan:
    """Look which tasks have data. Raises ConfigError if none has."""
    chosen = {task: task_settings(task, config, overrides, paths) for task in Task}
    if name is not None:
        chosen = {
            task: (_named(settings, name), store) for task, (settings, store) in chosen.items()
        }
    left_out = {
        task.value: why for task, (_, store) in chosen.items() if (why := why_no_data(task, store))
    }
    tasks = {task: what for task, what in chosen.items() if task.value not in left_out}
    if not tasks:
        reasons = "; ".join(dict.fromkeys(left_out.values()))
        raise ConfigError(f"no task's data is prepared: {reasons}")
    names = {settings.name for settings, _ in chosen.values()}
    table = paths.finetuning_table(names.pop() if len(names) == 1 else "configured")
    return Plan(tasks, left_out, table)


def _refuse_other_runs(
    plan: Plan, init: str, seeds: int, overwrite: bool, paths: Workspace
) -> None:
    """Raise OtherConfigurationError if a run's folder holds another, ConfigError without a start."""
    from stages.training.finetuning.finetune import other_runs
    from stages.training.weights.first_weights import load_initial

    with wrong_usage():
        initial = load_initial(init)
    said = []
    for task, (settings, _) in plan.tasks.items():
        out = paths.finetuned(task.value, settings.name)
        others = other_runs(task.value, settings, initial=initial, out=out, seeds=seeds)
        said += [f"{folder}: {'; '.join(changes)}" for folder, changes in others.items()]
    if said and not overwrite:
        raise OtherConfigurationError(
            f"other runs have this name: {'; '.join(said)}. Give these another --name, or replace "
            "those with --overwrite"
        )


def _run_all(
    plan: Plan, init: str, seeds: int, device: str, overwrite: bool, paths: Workspace
) -> Results:
    from pipeline.commands.finetune import print_finetuning

    results = Results()
    for task, (settings, store) in plan.tasks.items():
        if is_first_process():
            typer.echo(f"finetune {task.value}")
        try:
            finished = fine_tune(task, settings, store, init, seeds, device, overwrite, paths)
        except (ValueError, OSError, RuntimeError, ArithmeticError, ImportError) as error:
            if _num_processes() > 1:  # the others may not have failed, and would wait for this one
                raise
            results.failed[task.value] = explained(error)
            continue
        if is_first_process():
            print_finetuning(task.value, finished, paths.finetuned(task.value, settings.name))
            results.summaries[task.value] = finished.summary
        if finished.outcome is not None and not finished.outcome.finished:
            results.stopped = finished.outcome
            break
    return results


def _report(plan: Plan, results: Results, before: Mapping[str, Any]) -> None:
    """Write the table unless all was stopped, print it, and say what is not of this call."""
    from stages.report.tables.finetuned import print_table, write_table

    if not results.stopped:
        rows = {**before, **results.summaries}
        rows = {task.value: rows[task.value] for task in Task if task.value in rows}
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


def _num_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))
