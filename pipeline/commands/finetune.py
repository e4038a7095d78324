"""The command `finetune`, and what it shares with those on all tasks and on finished runs."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cache.workspace import Workspace
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Overrides,
    Overwrite,
    Root,
    exit_if_stopped,
    is_first_process,
    open_device,
)
from pipeline.commands.prepare import DataSet
from pipeline.config import load_section
from pipeline.words import counted, print_training
from stages.settings import ConfigError
from stages.training.spread import said

if TYPE_CHECKING:
    from stages.training.finetuning.finetune import Finished

if TYPE_CHECKING:
    from stages.training.finetuning.finetune import Finished
    from stages.training.tasks.finetune_config import FinetuneConfig


class Task(StrEnum):
    """What `finetune` can do, in the order of `finetune-all`."""

    CLASSIFICATION = "classification"
    PARTS = "parts"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"


ON_SCANS = (Task.SEGMENTATION, Task.DETECTION)


def _checked_init(init: str | None) -> str | None:
    if init is not None:
        from pipeline.commands.starts import check_start

        check_start(init, "--init ")
    return init


Init = Annotated[
    str | None,
    typer.Option(
        callback=_checked_init,
        help="A run's or checkpoint's folder, a PyTorch checkpoint of Point-MAE, Point-BERT, "
        "MaskPoint or (for detection, kind 3detr) 3DETR, or scratch; default: the configured pre-training.",
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
    paths = Workspace(workspace)
    check_parts([task], init, paths)

    settings, store = task_settings(task, config, overrides, paths)
    if why := why_no_data(task, store):
        raise ConfigError(why)
    init = init or configured_start(config, overrides, paths)
    finished = fine_tune(task, settings, store, init, seeds, device, overwrite, paths)
    if is_first_process():
        print_finetuning(task.value, finished, paths.finetuned(task.value, settings.name))
    exit_if_stopped(finished.outcome)


def check_parts(tasks: Sequence[Task], init: str | None, paths: Workspace) -> None:
    """See, before anything slow is imported, that some data and a start are there at all.

    Raises ConfigError.
    """
    folders = {paths.scans if task in ON_SCANS else paths.all_objects for task in tasks}
    if not any(folder.is_dir() for folder in folders):
        where = " and ".join(sorted(map(str, folders)))
        raise ConfigError(f"{where}: not there; run prepare first")
    if init is None and not paths.all_pretrained.is_dir():
        raise ConfigError(f"{paths.all_pretrained}: not there; run pretrain first, or give --init")


def task_settings(
    task: Task, config: str, overrides: Sequence[str], paths: Workspace
) -> tuple["FinetuneConfig", Path]:
    """A task's configuration, and the store that it reads."""
    from stages.training.finetuning.finetune import TASKS

    settings = load_section(config, task.value, TASKS[task.value], overrides)
    return settings, store_of(settings, paths)


def store_of(settings: "FinetuneConfig", paths: Workspace) -> Path:
    """The store that a task reads."""
    from stages.training.tasks.classification.config import ClassificationConfig
    from stages.training.tasks.parts.config import PartsConfig

    if isinstance(settings, ClassificationConfig | PartsConfig):
        return paths.objects(settings.data)
    return paths.scans


def why_no_data(task: Task, store: Path) -> str | None:
    """Say what to prepare if a task's store is not there."""
    if store.is_dir():
        return None
    data_set = "scannet" if task in ON_SCANS else store.stem
    if data_set not in list(DataSet):
        return f"{store} is not there; what prepare can make is {', '.join(DataSet)}"
    return f"{store} is not there; run prepare {data_set}"


def configured_start(config: str, overrides: Sequence[str], paths: Workspace) -> str:
    """The folder of the configured pre-training. Raises ConfigError if it is not there."""
    from stages.training.pretraining.config import PretrainConfig

    folder = paths.pretrained(load_section(config, "pretrain", PretrainConfig, overrides).name)
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such pre-training; run pretrain first, or name another start"
        )
    return str(folder)


def fine_tune(
    task: Task,
    settings: "FinetuneConfig",
    store: Path,
    init: str,
    seeds: int,
    device: str,
    overwrite: bool,
    paths: Workspace,
) -> "Finished":
    """Run one task for all its seeds. Raises ValueError, OSError, RuntimeError, ArithmeticError."""
    from stages.training.finetuning import finetune as stage

    return stage.run(
        task.value, settings, store=store, init=init, out=paths.finetuned(task.value, settings.name),
        device=open_device(device), seeds=seeds, overwrite=overwrite, patient=device != "auto", say=typer.echo,
    )  # fmt: skip


def print_finetuning(task: str, finished: "Finished", out: Path) -> None:
    """Say how the runs of a task ended, and their measures over the seeds; draw what is missing."""
    if finished.outcome is not None and not finished.outcome.finished:
        print_training(f"finetune {task}", finished.outcome, finished.folder)
        return
    from stages.report.figures.curves import draw_missing_curves
    from stages.report.figures.task_figures import draw_task_figures
    from stages.report.tables.finetuned import class_rows, write_classes

    summary = finished.summary
    for name in summary["seeds"]:
        draw_missing_curves(out / name)
        draw_task_figures(out / name)
    typer.echo(
        f"finetune {task}: {counted(len(summary['seeds']), 'seed')} from {summary['init']}, last epoch; in {out}"
    )
    for name, measure in summary["measures"].items():
        runs = ", ".join(f"{value:.4f}" for value in measure["runs"])
        typer.echo(
            f"  {name:<22} {said(measure)}" + (f"   ({runs})" if len(measure["runs"]) > 1 else "")
        )
    if "by_class" in summary:
        write_classes(out / "by_class.csv", summary)
        header, rows = class_rows(summary)
        for row in (header, *rows):
            typer.echo(f"  {row[0]:<16}" + "".join(f"{cell:>14}" for cell in row[1:]))
