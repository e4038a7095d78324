"""The command `predict`."""

from pathlib import Path
from typing import Annotated

import typer

from cache.workspace import Workspace
from pipeline.commands.options import DEFAULT_ROOT, Debug, Device, Root, open_device
from stages.settings import ConfigError


def predict(
    run: Annotated[
        Path, typer.Argument(help="A finished segmentation run, or the folder of its only seed.")
    ],
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
    from cache.runs import read_card, read_result
    from cache.scans import scenes_of
    from cache.scene_group import Listing
    from pipeline.choices import need_scans
    from pipeline.starts import find_finetuned

    paths = Workspace(workspace)
    run = find_finetuned(run, "segmentation")
    card = read_card(run)
    if read_result(run) is None:
        raise ConfigError(f"{run}: not finished yet; the same finetune command goes on with it")
    data = card.config.get("data", "scannet") if card else "scannet"
    store = need_scans(paths, data)
    if not any(scenes_of(Listing.read(store), split, annotated=False)):
        raise ConfigError(f"--split {split}: {store} has no scan of it; run prepare {data}")

    from pipeline.words import counted
    from stages.training.finetuning import predict as stage

    out = out or run / "predictions" / split
    count = stage.run(run, store, split, out, device=open_device(device))
    typer.echo(f"predict: {counted(count, 'scan')} of {split}; in {out} and {out}.zip")
