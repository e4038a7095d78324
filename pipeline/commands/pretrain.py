"""The command `pretrain`."""

from typing import Annotated

import typer

from pipeline.choices import Choices, need
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
from pipeline.probes import probe_what_is_there
from pipeline.words import print_training

StopAfter = Annotated[
    int | None,
    typer.Option("--stop-after-epoch", min=1, help="Save and stop there; a later call goes on."),
]


def pretrain(
    device: Device = "auto",
    overwrite: Overwrite = False,
    stop_after_epoch: StopAfter = None,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Train a student from points alone, by the paper's objective or the one that is configured.

    Goes on where it was stopped. Under torchrun, all processes share each batch. At its end its
    frozen features are probed on what is prepared of ModelNet40 and of ScanNet's scans; of a
    finished one, what is missing of that and of its curves is made. SIGTERM, Ctrl-C and a closed
    terminal save first; the exit code is then 143, 130 or 129.
    """
    choices = Choices.of(config, overrides, workspace)
    paths = choices.paths
    need(paths.points, "run extract first, or copy it here")

    from stages.training.pretraining.config import PretrainConfig

    settings = choices.section("pretrain", PretrainConfig)
    store = paths.prefixes(settings.teacher) if settings.teacher else None
    if store:
        need(store, "run teacher-cache first")

    from stages.report.figures.curves import draw_missing_curves
    from stages.training.pretraining import pretrain as stage

    out = paths.pretrained(settings.name)
    outcome = stage.run(
        settings,
        frames=paths.frames,
        points=paths.points,
        store=store,
        out=out,
        device=open_device(device),
        overwrite=overwrite,
        stop_after_epoch=stop_after_epoch,
        patient=device != "auto",
        say=lambda line: typer.echo(f"pretrain: {line}", err=True),
    )
    if is_first_process():
        print_training("pretrain", outcome, out)
        if outcome is None or outcome.finished:
            if not draw_missing_curves(out):
                typer.echo("  matplotlib is not installed, so no curves.png")
            probe_what_is_there(out, device, choices)
    exit_if_stopped(outcome)
