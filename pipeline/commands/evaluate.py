"""The command `evaluate`: measures a run of `finetune` again."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cache.workspace import Workspace
from pipeline.choices import need
from pipeline.commands.options import DEFAULT_ROOT, Debug, Device, Root, open_device
from stages.settings import ConfigError
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of

if TYPE_CHECKING:
    from stages.training.finetuning.evaluate import Evaluated
    from stages.training.tasks.finetune_config import FinetuneConfig


class Weights(StrEnum):
    """Which of a run's checkpoints."""

    LAST = "last"
    BEST = "best"


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run of finetune, or the folder of its only seed.")],
    weights: Annotated[
        Weights, typer.Option(help="Of the last epoch, or of the best on held data.")
    ] = Weights.LAST,
    device: Device = "auto",
    workspace: Root = DEFAULT_ROOT,
    debug: Debug = False,
) -> None:
    """Measure a fine-tuned network again, as the end of its run does.

    Also of a run that was stopped, or goes on. What is found is kept in the run's folder.
    """
    from cache.checkpoint import has_checkpoint
    from pipeline.starts import find_finetuned

    paths = Workspace(workspace)
    run = find_finetuned(run)
    if not has_checkpoint(run / weights.value):
        raise ConfigError(f"{run / weights.value}: no checkpoint yet; the run saves one as it goes")

    from stages.training.finetuning import evaluate as stage

    def prepared(task: TaskName, settings: "FinetuneConfig") -> Path:
        store = description_of(task).store(settings, paths)
        need(store, "run prepare first, or name the workspace that has it")
        return store

    found = stage.run(run, prepared, weights=weights.value, device=open_device(device))
    print_evaluated(found, weights.value, run)


def print_evaluated(found: "Evaluated", weights: str, run: Path) -> None:
    """Say what a checkpoint reaches, beside what its run had found of it."""
    typer.echo(f"evaluate {found.task}: {weights} of {run}, epoch {found.epoch}")
    for name in found.changed:
        typer.echo(f"  its data of {name} is not the run's any more")
    for name, value in found.measures.items():
        before = found.before.get(name)
        typer.echo(
            f"  {name:<22} {value:.4f}"
            + (f"   (the run: {before:.4f})" if before is not None else "")
        )
    typer.echo(f"  in {run / f'evaluated_{weights}.json'}")
