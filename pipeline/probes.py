"""What frozen features know: run, said, drawn and kept; by `probe`, and at the end of `pretrain`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipeline.choices import Choices
from pipeline.packages import explained
from pipeline.words import counted
from stages.settings import ConfigError
from stages.training.spread import said

if TYPE_CHECKING:
    from stages.training.pretraining.rebuilding import Frames

OBJECTS, SCANS = "modelnet40", "scannet"  # what closes a pre-training, where it is prepared
FRAMES = "frames"  # the extracted frames themselves, on which patches are rebuilt
VIEWS = "views"  # what these frames show
SEEDS = 3


def is_of_scans(data: str, choices: Choices) -> bool:
    """Whether a prepared set is one of scans. Raises ConfigError if it is not there at all."""
    paths = choices.paths
    if paths.scans(data).is_dir():
        return True
    if not paths.objects(data).is_dir():
        folders = (paths.all_objects, paths.all_scans)
        there = [path.stem for folder in folders for path in sorted(folder.glob("*.zarr"))]
        known = f"prepared are {', '.join(there)}" if there else "nothing is prepared"
        raise ConfigError(f"--data {data}: it is not there; {known}; run prepare for more")
    return False


def probe_what_is_there(run: Path, device: str, choices: Choices) -> None:
    """Probe a finished pre-training on what is prepared, unless that was done before.

    What cannot be probed is said, and no failure.
    """
    from cache.runs import probe_file

    paths = choices.paths
    for data, store in ((OBJECTS, paths.objects(OBJECTS)), (SCANS, paths.scans(SCANS))):
        if not store.is_dir() or probe_file(run, data).exists():
            continue
        try:
            if data == SCANS:
                probe_scans(run, data, device, SEEDS, choices)
            else:
                probe_objects(str(run), data, device, SEEDS, choices)
        except (ValueError, ImportError) as error:
            why = explained(error)
            typer.echo(f"  not probed on {data}: {why}; later: distill3d probe --data {data}")


def probe_objects(source: str, data: str, device: str, seeds: int, choices: Choices) -> None:
    """Probe on a classification set, say what was found, and keep it in a run's folder."""
    from stages.training.tasks.classification.config import ClassificationConfig

    settings = choices.section("classification", ClassificationConfig)

    from cache.runs import probe_file, read_card, write_json
    from stages.machine.device import choose_device
    from stages.training.probing import shapes

    found = shapes.probe(
        source, settings.encoder, choices.paths.objects(data),
        num_points=settings.num_points, device=choose_device(device), seeds=seeds,
    )  # fmt: skip
    if Path(source).is_dir() and read_card(Path(source)) is not None:
        write_json(probe_file(Path(source), data), found)
    _print(found, source, data)


def probe_scans(run: Path, data: str, device: str, seeds: int, choices: Choices) -> None:
    """Probe all that a run kept on prepared scans, say it, draw it, and keep it in its folder."""
    from stages.training.tasks.segmentation.config import SegmentationConfig

    settings = choices.section("segmentation", SegmentationConfig)

    from cache.runs import probe_file, write_json
    from stages.machine.device import choose_device
    from stages.report.figures.curves import draw_scan_probe
    from stages.training.probing import scans

    typer.echo(
        f"probe of {run} on {data}, a linear layer on frozen features of points, {counted(seeds, 'seed')}:"
    )
    found = scans.probe_run(
        run, choices.paths.scans(data), settings.encoder, settings.num_points, seeds=seeds,
        device=choose_device(device), say=typer.echo,
    )  # fmt: skip
    file = probe_file(run, data)
    draw_scan_probe(found, file.with_suffix(".png"))
    write_json(file, found)  # last: where it is, the picture is too
    typer.echo(f"  in {file}")


def probe_frames(run: Path, device: str, seeds: int, choices: Choices) -> None:
    """Probe how masked patches of extracted frames are rebuilt, say it, and keep it in a run's folder."""
    frames = _load_frames(run, device, choices, FRAMES)

    from stages.machine.device import choose_device
    from stages.training.pretraining.rebuilding import probe

    typer.echo(
        f"probe of {run} on {FRAMES}, Chamfer distance of masked patches rebuilt, {counted(seeds, 'seed')}:"
    )
    found = probe(str(run), frames, seeds=seeds, device=choose_device(device), say=typer.echo)
    _keep(run, FRAMES, found)
    _print_measures(found)


def probe_views(run: Path, device: str, seeds: int, choices: Choices) -> None:
    """Probe which objects a whole cloud's feature tells of, say it, and keep it in a run's folder."""
    frames = _load_frames(run, device, choices, VIEWS)

    from cache.frame_labels import read_frame_labels
    from cache.scannet_classes import nyu40_name
    from stages.machine.device import choose_device
    from stages.training.pretraining.in_view import probe

    paths = choices.paths
    labels = read_frame_labels(paths.frame_labels)
    typer.echo(
        f"probe of {run} on {VIEWS}: which objects are in view, linearly from one feature of the cloud, "
        f"{counted(seeds, 'seed')}:"
    )
    found = probe(
        str(run), frames, labels, manifests=paths.frames, seeds=seeds, device=choose_device(device)
    )
    _keep(run, VIEWS, found)
    _print_measures(found)
    typer.echo(f"  chance {found['chance']:.4f}; average precision by class, of these held frames:")
    for number, own in sorted(found["by_class"].items(), key=lambda item: -item[1]["trained"]):
        typer.echo(
            f"  {nyu40_name(int(number)):<16} {own['trained']:<18.4f} {own['random']:<18.4f} {'':<18} "
            f"{own['geometry']:<18.4f} {own['held_frames']}"
        )


def _load_frames(run: Path, device: str, choices: Choices, data: str) -> "Frames":
    """Training and held frames as a run's weights know them. Raises ConfigError."""
    from stages.training.pretraining.config import PretrainConfig

    shown = choices.section("pretrain", PretrainConfig).without_targets()
    if not shown.splits or not shown.held_splits:
        raise ConfigError(f"probe --data {data} needs pretrain.splits and pretrain.held_splits")

    from cache.scene_group import Listing
    from stages.machine.device import choose_device
    from stages.training.pretraining.clouds import Sources, load_clouds
    from stages.training.pretraining.rebuilding import Frames, as_learned

    shown = as_learned(shown, run)
    sources = Sources(
        choices.paths.frames, Listing.read(choices.paths.points), None, choose_device(device)
    )
    train, held = (
        load_clouds(shown, splits, sources, what="frames")
        for splits in (shown.splits, shown.held_splits)
    )
    return Frames(train, held)


def _keep(run: Path, data: str, found: Mapping[str, Any]) -> None:
    """Keep what a probe found in a run's folder; a checkpoint's has no place for it."""
    from cache.runs import probe_file, read_card, write_json

    if read_card(run) is not None:
        write_json(probe_file(run, data), found)


def _print(found: Mapping[str, Any], source: str, data: str) -> None:
    """Say what few labels reach on frozen features, beside random weights and seed for seed."""
    typer.echo(
        f"probe of {source} on {data}, a linear SVM on frozen features, {counted(found['seeds'], 'seed')}:"
    )
    _print_measures(found)


def _print_measures(found: Mapping[str, Any]) -> None:
    columns = {
        "trained": "these weights", "random": "random weights", "difference": "difference",
        "geometry": "32 plain numbers",
    }  # fmt: skip
    arms = next(iter(found["measures"].values()))
    typer.echo(f"  {'':<16} " + " ".join(f"{columns[arm]:<18}" for arm in arms))
    for name, measure in found["measures"].items():
        cells = (said(measure[arm], sign="+" if arm == "difference" else "") for arm in arms)
        typer.echo(f"  {name:<16} " + " ".join(f"{cell:<18}" for cell in cells))
