"""The command `probe`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.choices import Choices, need
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Overrides,
    Root,
    open_device,
)
from pipeline.downstream import configured_start
from pipeline.probes import (
    FRAMES,
    OBJECTS,
    SEEDS,
    VIEWS,
    is_of_scans,
    probe_frames,
    probe_objects,
    probe_scans,
    probe_views,
)
from stages.settings import ConfigError


def probe(
    source: Annotated[
        str | None,
        typer.Argument(help="As finetune's --init; default: the configured pre-training."),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            help=f"A prepared classification set, one of scans, such as scannet, {FRAMES}, or {VIEWS}."
        ),
    ] = OBJECTS,
    seeds: Annotated[
        int, typer.Option(min=1, help="Of draws and episodes; random weights are other ones each.")
    ] = SEEDS,
    device: Device = "auto",
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Probe frozen features with little learning on top.

    Of shapes: few-shot episodes of a linear SVM, and all labels. Of scans: a linear layer over each
    point's features, for every checkpoint that a pre-training kept. Of extracted frames: how well masked
    patches are rebuilt, by a random decoder and by one that is fitted. Of views: which objects the frames
    show (label-frames), read from one feature of the whole cloud. Random weights stand beside all.
    """
    choices = Choices.of(config, overrides, workspace)
    if source:
        from pipeline.starts import check_start

        check_start(source)
    elif not choices.paths.all_pretrained.is_dir():
        raise ConfigError(
            f"{choices.paths.all_pretrained}: not there; run pretrain first, or name a run"
        )
    on_frames = data in (FRAMES, VIEWS)
    if on_frames:
        need(choices.paths.points, "run extract first, or copy it here")
    if data == VIEWS:
        need(choices.paths.frame_labels, "run label-frames first, or copy it here")
    on_scans = not on_frames and is_of_scans(data, choices)
    if source and (on_scans or on_frames) and not Path(source).is_dir():
        raise ConfigError(f"{source}: expected the folder of a run or of a checkpoint of ours")
    source = source or configured_start(choices)
    open_device(device)
    if data == VIEWS:
        probe_views(Path(source), device, seeds, choices)
    elif data == FRAMES:
        probe_frames(Path(source), device, seeds, choices)
    elif on_scans:
        probe_scans(Path(source), data, device, seeds, choices)
    else:
        probe_objects(source, data, device, seeds, choices)
