"""The command `probe`, which also closes each pre-training: what frozen features know."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cache.workspace import Workspace
from pipeline.commands.finetune import configured_start
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Overrides,
    Root,
    open_device,
)
from pipeline.config import load_section
from pipeline.packages import explained
from pipeline.words import counted
from stages.settings import ConfigError
from stages.training.spread import said

PROBED, SCANS = "modelnet40", "scans"
SEEDS = 3


def probe(
    source: Annotated[
        str | None,
        typer.Argument(help="As finetune's --init; default: the configured pre-training."),
    ] = None,
    data: Annotated[
        str, typer.Option(help="A prepared classification set, or `scans` for ScanNet's scenes.")
    ] = PROBED,
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
    point's features, for every checkpoint that a pre-training kept. Random weights stand beside both.
    """
    paths = Workspace(workspace)
    if source:
        from pipeline.commands.starts import check_start

        check_start(source)
        if data == SCANS and not Path(source).is_dir():
            raise ConfigError(f"{source}: expected the folder of a run or of a checkpoint of ours")
    elif not paths.all_pretrained.is_dir():
        raise ConfigError(f"{paths.all_pretrained}: not there; run pretrain first, or name a run")
    _check_data(data, paths)
    source = source or configured_start(config, overrides, paths)
    if data == SCANS:
        probe_scans(Path(source), device, seeds, config, overrides, paths)
    else:
        probe_shapes(source, data, device, seeds, config, overrides, paths)


def _check_data(data: str, paths: Workspace) -> None:
    store = paths.scans if data == SCANS else paths.objects(data)
    if not store.is_dir():
        there = [path.stem for path in sorted(paths.all_objects.glob("*.zarr"))]
        there += [SCANS] if paths.scans.is_dir() else []
        known = f"prepared are {', '.join(there)}" if there else "nothing is prepared"
        raise ConfigError(f"--data {data}: {store} is not there; {known}; run prepare for more")


def probe_what_is_there(
    run: Path, device: str, config: str, overrides: Sequence[str], paths: Workspace
) -> None:
    """Probe a finished pre-training on what is prepared, unless that was done before.

    What cannot be probed is said, and no failure.
    """
    from cache.runs import probe_file

    for data, store in ((PROBED, paths.objects(PROBED)), (SCANS, paths.scans)):
        if not store.is_dir() or probe_file(run, data).exists():
            continue
        try:
            if data == SCANS:
                probe_scans(run, device, SEEDS, config, overrides, paths)
            else:
                probe_shapes(str(run), data, device, SEEDS, config, overrides, paths)
        except (ValueError, ImportError) as error:
            said = explained(error)
            typer.echo(f"  not probed on {data}: {said}; later: distill3d probe --data {data}")


def probe_shapes(
    source: str,
    data: str,
    device: str,
    seeds: int,
    config: str,
    overrides: Sequence[str],
    paths: Workspace,
) -> None:
    """Probe on a classification set, say what was found, and keep it in a run's folder."""
    from cache.runs import probe_file, read_card, write_json
    from stages.training.probing import shapes
    from stages.training.tasks.classification.config import ClassificationConfig

    settings = load_section(config, "classification", ClassificationConfig, overrides)
    found = shapes.probe(
        source, settings.encoder, paths.objects(data),
        num_points=settings.num_points, device=open_device(device), seeds=seeds,
    )  # fmt: skip
    if Path(source).is_dir() and read_card(Path(source)) is not None:
        write_json(probe_file(Path(source), data), found)
    print_probe(found, source, data)


def probe_scans(
    run: Path, device: str, seeds: int, config: str, overrides: Sequence[str], paths: Workspace
) -> None:
    """Probe all that a run kept on the prepared scans, say it, draw it, and keep it in its folder."""
    from cache.runs import probe_file, write_json
    from stages.report.figures.curves import draw_scan_probe
    from stages.training.probing import scans
    from stages.training.tasks.segmentation.config import SegmentationConfig

    settings = load_section(config, "segmentation", SegmentationConfig, overrides)
    typer.echo(
        f"probe of {run} on scans, a linear layer on frozen features of points, {counted(seeds, 'seed')}:"
    )
    found = scans.probe_run(
        run, paths.scans, settings.encoder, settings.num_points, seeds=seeds,
        device=open_device(device), say=typer.echo,
    )  # fmt: skip
    file = probe_file(run, SCANS)
    draw_scan_probe(found, file.with_suffix(".png"))
    write_json(file, found)  # last: where it is, the picture is too
    typer.echo(f"  in {file}")


def print_probe(found: Mapping[str, Any], source: str, data: str) -> None:
    """Say what few labels reach on frozen features, beside random weights and seed for seed."""
    typer.echo(
        f"probe of {source} on {data}, a linear SVM on frozen features, {counted(found['seeds'], 'seed')}:"
    )
    columns = {"trained": "these weights", "random": "random weights", "difference": "difference"}
    arms = next(iter(found["measures"].values()))
    typer.echo(f"  {'':<16} " + " ".join(f"{columns[arm]:<18}" for arm in arms))
    for name, measure in found["measures"].items():
        cells = (said(measure[arm], sign="+" if arm == "difference" else "") for arm in arms)
        typer.echo(f"  {name:<16} " + " ".join(f"{cell:<18}" for cell in cells))
