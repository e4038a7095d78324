"""Commands that fine-tune: `finetune` for one task, `finetune-all` for all whose data is there."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    open_workspace,
)
from pipeline.config import ConfigError, load_section
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from stages.training.finetune import Finished
    from stages.training.tasks.setup import FinetuneConfig


class Task(StrEnum):
    """What `finetune` can do, in the order of `finetune-all`."""

    CLASSIFICATION = "classification"
    PARTS = "parts"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"


Init = Annotated[
    str | None,
    typer.Option(
        help="A run's or checkpoint's folder, a PyTorch checkpoint of Point-MAE, Point-BERT, "
        "MaskPoint or (for detection, kind 3detr) 3DETR, or scratch; default: the configured pre-training."
    ),
]
Seeds = Annotated[int, typer.Option(min=1, help="Runs of a task, each with the next seed.")]


def finetune(
    task: Annotated[Task, typer.Argument(help="Which task.")],
    init: Init = None,
    seeds: Seeds = 1,
    device: Device = "auto",
    overwrite: Overwrite = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Fine-tune a student on a downstream task, once for each seed, and measure it.

    Goes on where it was stopped. Under torchrun, all processes share each batch. SIGTERM, Ctrl-C and
    a closed terminal save first; the exit code is then 143, 130 or 129.
    """
    from pipeline.summaries import print_finetuning

    paths = open_workspace(workspace)
    settings, store = _task(task, config, overrides, paths)
    init = init or _configured(config, overrides, paths)
    finished = _finetune(task, settings, store, init, seeds, device, overwrite, paths)
    if is_first_process():
        print_finetuning(task.value, finished, paths.finetuned(task.value, settings.name))
    exit_if_stopped(finished.outcome)


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

    Finished runs are not run again, stopped ones go on. A task that fails does not stop the others;
    SIGTERM, Ctrl-C and a closed terminal stop all, saved (exit code 143, 130 or 129), without a table.
    """
    from stages.device import choose_device
    from stages.training.processes import joined

    with joined(choose_device(device)):
        _finetune_all(
            init, seeds, name, device, overwrite, config, overrides, open_workspace(workspace)
        )


def _finetune_all(
    init: str | None,
    seeds: int,
    name: str | None,
    device: str,
    overwrite: bool,
    config: str,
    overrides: Sequence[str],
    paths: Workspace,
) -> None:
    from pipeline.summaries import print_finetuning
    from stages.report.tables import print_table, write_table

    init = init or _configured(config, overrides, paths)
    chosen = {task: _task(task, config, overrides, paths) for task in Task}
    if name is not None:
        chosen = {
            task: (_named(settings, name), store) for task, (settings, store) in chosen.items()
        }
    summaries, left_out, failed = {}, {}, {}
    stopped = None
    for task, (settings, store) in chosen.items():
        if not store.is_dir():
            left_out[task.value] = f"{store} is not there; run prepare {_data_set(task, store)}"
            continue
        if is_first_process():
            typer.echo(f"finetune {task.value}")
        try:
            finished = _finetune(task, settings, store, init, seeds, device, overwrite, paths)
        except (ValueError, OSError, RuntimeError, ArithmeticError, ImportError) as error:
            if _num_processes() > 1:  # the others may not have failed, and would wait for this one
                raise
            failed[task.value] = " ".join(str(error).split())
            continue
        if is_first_process():
            print_finetuning(task.value, finished, paths.finetuned(task.value, settings.name))
            summaries[task.value] = finished.summary
        if finished.outcome is not None and not finished.outcome.finished:
            stopped = finished.outcome
            break
    if is_first_process() and not stopped and (summaries or failed):
        names = {settings.name for settings, _ in chosen.values()}
        table = paths.finetuning_table(names.pop() if len(names) == 1 else "configured")
        write_table(table, summaries, left_out, failed)
        print_table(summaries, typer.echo)
        typer.echo(f"  in {table}")
    if is_first_process():
        for task_name, why in left_out.items():
            typer.echo(f"  left out: {task_name}: {why}")
        for task_name, why in failed.items():
            typer.echo(f"  failed: {task_name}: {why}")
    exit_if_stopped(stopped)
    if failed:
        raise Failure(f"{', '.join(failed)}: failed, see above")
    if not summaries and is_first_process():
        raise Failure("no task's data is prepared, see above")


def _named(settings: "FinetuneConfig", name: str) -> "FinetuneConfig":
    """The same task under another name. Raises ConfigError if it cannot be one."""
    try:
        return type(settings).model_validate({**settings.model_dump(), "name": name})
    except ValueError:
        raise ConfigError(
            f"--name {name}: expected letters, digits, '_', '-' and '.', the first no sign"
        ) from None


def _task(
    task: Task, config: str, overrides: Sequence[str], paths: Workspace
) -> tuple["FinetuneConfig", Path]:
    """A task's configuration, and the store that it reads."""
    from stages.training.finetune import TASKS

    settings = load_section(config, task.value, TASKS[task.value], overrides)
    return settings, store_of(settings, paths)


def store_of(settings: "FinetuneConfig", paths: Workspace) -> Path:
    """The store that a task reads."""
    from stages.training.tasks.classification import ClassificationConfig
    from stages.training.tasks.parts import PartsConfig

    if isinstance(settings, ClassificationConfig | PartsConfig):
        return paths.objects(settings.data)
    return paths.scans


def _configured(config: str, overrides: Sequence[str], paths: Workspace) -> str:
    """The folder of the configured pre-training. Raises ConfigError if it is not there."""
    from stages.training.pretrain import PretrainConfig

    folder = paths.pretrained(load_section(config, "pretrain", PretrainConfig, overrides).name)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such pre-training; run pretrain first, or give --init")
    return str(folder)


def _finetune(
    task: Task,
    settings: "FinetuneConfig",
    store: Path,
    init: str,
    seeds: int,
    device: str,
    overwrite: bool,
    paths: Workspace,
) -> "Finished":
    from stages.device import choose_device
    from stages.training import finetune as stage

    return stage.run(
        task.value, settings, store=store, init=init, out=paths.finetuned(task.value, settings.name),
        device=choose_device(device), seeds=seeds, overwrite=overwrite, patient=device != "auto", say=typer.echo,
    )  # fmt: skip


def _data_set(task: Task, store: Path) -> str:
    """What `prepare` calls the data that a task misses."""
    return store.stem if task in (Task.CLASSIFICATION, Task.PARTS) else "scannet"


def _num_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))
