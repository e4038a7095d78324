"""Commands of the student: `pretrain`."""

import os
from typing import Annotated

import typer

from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Overrides,
    Overwrite,
    Root,
    open_workspace,
)
from pipeline.config import load_section

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
    """Train a student to predict the cached prefixes from points alone.

    Goes on where it was stopped. Under torchrun, all processes share each batch.
    """
    from pipeline.summaries import print_probe, print_training
    from stages.device import choose_device
    from stages.training import pretrain as stage
    from stages.training import probes
    from stages.training.run_folder import write_json
    from stages.training.tasks.classification import ClassificationConfig

    settings = load_section(config, "pretrain", stage.PretrainConfig, overrides)
    paths = open_workspace(workspace)
    out = paths.pretrained(settings.name)
    outcome = stage.run(
        settings,
        frames=paths.frames,
        points=paths.points,
        store=paths.prefixes(settings.teacher),
        out=out,
        device=choose_device(device),
        overwrite=overwrite,
        stop_after_epoch=stop_after_epoch,
        patient=device != "auto",
    )
    if int(os.environ.get("RANK", 0)) == 0:
        print_training("pretrain", outcome, out)
        objects = paths.objects("modelnet40")
        if outcome and outcome.finished and objects.is_dir():
            classes = load_section(config, "classification", ClassificationConfig, overrides)
            encoder = probes.load_encoder(str(out), classes.encoder)
            found = probes.probe(
                encoder, objects, num_points=classes.num_points, device=choose_device(device)
            )
            write_json(out / "probe.json", found)
            print_probe(found, str(out), "modelnet40")
