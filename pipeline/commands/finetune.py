"""The command `finetune`."""

from typing import Annotated

import typer

from pipeline.choices import Choices
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
from pipeline.downstream import check_parts, configured_start, task_settings, why_no_data
from pipeline.finetuned import print_finetuning
from stages.settings import ConfigError
from stages.training.tasks.names import TaskName


def _checked_init(init: str | None) -> str | None:
    if init is not None:
        from pipeline.starts import check_start

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
    task: Annotated[TaskName, typer.Argument(help="Which task.")],
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
    choices = Choices.of(config, overrides, workspace)
    check_parts([task], init, choices.paths)
    settings, store = task_settings(task, choices)
    if why := why_no_data(task, settings, choices.paths):
        raise ConfigError(why)
    init = init or configured_start(choices)

    from stages.training.finetuning import finetune as stage

    out = choices.paths.finetuned(task.value, settings.name)
    finished = stage.run(
        task, settings, store=store, init=init, out=out, device=open_device(device), seeds=seeds,
        overwrite=overwrite, patient=device != "auto", say=typer.echo,
    )  # fmt: skip
    if is_first_process():
        print_finetuning(task, finished, out)
    exit_if_stopped(finished.outcome)
