"""The command `prepare`: downstream data sets into the cache."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cache.data_sets import PREPARED, ObjectSet, ScanSet
from cache.workspace import Workspace
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Failure,
    Overrides,
    Overwrite,
    Root,
    Strict,
    Workers,
    num_cores,
    wrong_usage,
)
from pipeline.config import load_section
from pipeline.packages import require
from pipeline.words import MAX_NAMES, counted, counts, names
from stages.settings import ConfigError

if TYPE_CHECKING:
    from stages.precompute.downstream.prepare_objects import ObjectsReport
    from stages.precompute.downstream.prepare_scans import ScansReport


def _known(name: str) -> str:
    if name not in PREPARED:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(PREPARED)}")
    return name


def prepare(
    data_set: Annotated[
        str,
        typer.Argument(
            metavar="DATA_SET",
            help=f"One of {', '.join(PREPARED)}.",
            callback=_known,
            autocompletion=lambda: list(PREPARED),
        ),
    ],
    source: Annotated[
        Path | None, typer.Argument(help="Its folder; default: the workspace's sample.")
    ] = None,
    votenet_dir: Annotated[
        Path | None,
        typer.Option(help="Of scannet: VoteNet's exported arrays, instead of meshes."),
    ] = None,
    workers: Workers = 0,
    overwrite: Overwrite = False,
    strict: Strict = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Read a downstream data set in its official layout, once, into the cache."""
    paths = Workspace(workspace)
    if data_set in list(ScanSet):
        of_scans = ScanSet(data_set)
        _prepare_scans(of_scans, source, votenet_dir, workers, overwrite, strict, paths)
        return
    of_objects = ObjectSet(data_set)
    root = source or _sample_of_objects(paths, of_objects)
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; name the data set's folder")

    from stages.precompute.downstream import prepare_objects as stage

    settings = load_section(config, "prepare", stage.ObjectsConfig, overrides)
    store = paths.objects(data_set)
    with wrong_usage():
        report = stage.run(
            settings, of_objects, root=root, store=store, workers=workers or num_cores(),
            overwrite=overwrite,
        )  # fmt: skip
    print_objects_report(report, data_set, store)
    if report.failed_splits:
        raise Failure(f"{', '.join(report.failed_splits)}: not prepared, see above; try again")
    if strict and report.failed:
        raise Failure("some shapes could not be read, see above (--strict)")


def _prepare_scans(
    data_set: ScanSet,
    source: Path | None,
    votenet_dir: Path | None,
    workers: int,
    overwrite: bool,
    strict: bool,
    paths: Workspace,
) -> None:
    root = source or _sample_of_scans(paths, data_set)
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; name the data set's folder")
    if votenet_dir and not votenet_dir.is_dir():
        raise ConfigError(f"--votenet-dir {votenet_dir}: no such folder")

    if not votenet_dir:
        require("plyfile")

    from stages.precompute.downstream import prepare_scans as stage

    with wrong_usage():
        report = stage.run(
            data_set, root=root, store=paths.scans(data_set.value), votenet=votenet_dir, workers=workers or num_cores(),
            overwrite=overwrite,
        )  # fmt: skip
    print_scans_report(report, data_set.value, paths.scans(data_set.value))
    if report.failed:
        raise Failure(f"{len(report.failed)} scenes failed, see above")
    if strict and report.missing:
        raise Failure("some listed scenes are not there, see above (--strict)")


def _sample_of_objects(paths: Workspace, data_set: ObjectSet) -> Path:
    match data_set:
        case ObjectSet.MODELNET40:
            return paths.sample_modelnet40
        case ObjectSet.SHAPENETPART:
            return paths.sample_shapenetpart
        case _:
            raise ConfigError(f"prepare {data_set}: name its folder; the sample world has none")


def _sample_of_scans(paths: Workspace, data_set: ScanSet) -> Path:
    if data_set is ScanSet.SCANNET:
        return paths.sample_scans
    raise ConfigError(f"prepare {data_set}: name its folder; the sample world has none")


def print_objects_report(report: "ObjectsReport", data_set: str, store: Path) -> None:
    """Say what was prepared, where counts differ from the published ones, and what failed."""
    typer.echo(f"prepare {data_set}: layout {report.layout}")
    for split, count in report.shapes.items():
        published = report.published.get(split)
        other = f" (published: {published})" if published not in (None, count) else ""
        before = ", complete before" if split in report.complete_before else ""
        typer.echo(f"  {split}: {counted(count, 'shape')}{other}{before}")
    for name, error in sorted(report.failed.items())[:MAX_NAMES]:
        typer.echo(f"  left out: {name}: {error}")
    if len(report.failed) > MAX_NAMES:
        typer.echo(f"  left out: {len(report.failed) - MAX_NAMES} more")
    for split, error in report.failed_splits.items():
        typer.echo(f"  failed: {split}: {error}")
    typer.echo(f"  in {store}")


def print_scans_report(report: "ScansReport", data_set: str, store: Path) -> None:
    """Say how many scans there are now, and which are missing or failed."""
    total = sum(report.prepared.values())
    typer.echo(
        f"prepare {data_set}: {counted(total, 'scene')} ({counts(report.prepared)}), "
        f"{report.complete_before} complete before; {report.boxes} boxes of the detection classes"
    )
    for split, file in report.without_list.items():
        typer.echo(f"  left out: {split}: no list {file} there")
    if report.missing:
        typer.echo(f"  listed, but not there: {names(tuple(report.missing))}")
    if report.unknown_labels:
        typer.echo(
            f"  labels that the table does not have: {names(tuple(sorted(report.unknown_labels)))}"
        )
    for scene_id, error in sorted(report.failed.items()):
        typer.echo(f"  failed: {scene_id}: {error}")
    if total:
        typer.echo(f"  in {store}")
