"""Commands on runs of `finetune`: `evaluate` measures one again, `predict` labels scans with one."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.finetuning import store_of
from pipeline.commands.options import DEFAULT_ROOT, Debug, Device, Root, open_workspace


class Weights(StrEnum):
    """Which of a run's checkpoints."""

    LAST = "last"
    BEST = "best"


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run of finetune, such as .../seed0.")],
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
    from pipeline.summaries import print_evaluated
    from stages.device import choose_device
    from stages.training import evaluate as stage

    paths = open_workspace(workspace)
    found = stage.run(
        run, lambda settings: store_of(settings, paths), weights=weights.value,
        device=choose_device(device),
    )  # fmt: skip
    print_evaluated(found, weights.value, run)


def predict(
    run: Annotated[Path, typer.Argument(help="A finished segmentation run, such as .../seed0.")],
    split: Annotated[str, typer.Option(help="Of the prepared scans; test has no labels.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="A folder; default: predictions/<split> in the run's.")
    ] = None,
    device: Device = "auto",
    workspace: Root = DEFAULT_ROOT,
    debug: Debug = False,
) -> None:
    """Label every vertex of a split's scans, as ScanNet's benchmark takes it.

    One text file a scan with an nyu40 id a line, in the mesh's order, and a zip of them all.
    """
    from pipeline.summaries import counted
    from stages.device import choose_device
    from stages.training import predict as stage

    paths = open_workspace(workspace)
    out = out or run / "predictions" / split
    count = stage.run(run, paths.scans, split, out, device=choose_device(device))
    typer.echo(f"predict: {counted(count, 'scan')} of {split}; in {out} and {out}.zip")
