"""The command `prepare`: downstream data sets into the cache."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

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
from stages.settings import ConfigError


class DataSet(StrEnum):
    """What `prepare` can prepare."""

    MODELNET40 = "modelnet40"
    SHAPENETPART = "shapenetpart"
    SCANOBJECTNN = "scanobjectnn"
    SCANNET = "scannet"


_OBJECTS: dict[DataSet, Literal["modelnet40", "shapenetpart", "scanobjectnn"]] = {
    DataSet.MODELNET40: "modelnet40",
    DataSet.SHAPENETPART: "shapenetpart",
    DataSet.SCANOBJECTNN: "scanobjectnn",
}


def prepare(
    data_set: Annotated[DataSet, typer.Argument(help="Which data set.")],
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
    if data_set is DataSet.SCANNET:
        _prepare_scannet(source, votenet_dir, workers, overwrite, strict, workspace)
        return
    paths = Workspace(workspace)
    root = source or _sample_of(paths, data_set)
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; name the data set's folder")

    from pipeline.summaries import print_objects_report
    from stages.precompute.downstream import prepare_objects as stage

    settings = load_section(config, "prepare", stage.ObjectsConfig, overrides)
    store = paths.objects(data_set.value)
    with wrong_usage():
        report = stage.run(
            settings, _OBJECTS[data_set], root=root, store=store, workers=workers or num_cores(),
            overwrite=overwrite,
        )  # fmt: skip
    print_objects_report(report, data_set.value, store)
    if report.failed_splits:
        raise Failure(f"{', '.join(report.failed_splits)}: not prepared, see above; try again")
    if strict and report.failed:
        raise Failure("some shapes could not be read, see above (--strict)")


def _prepare_scannet(
    source: Path | None,
    votenet_dir: Path | None,
    workers: int,
    overwrite: bool,
    strict: bool,
    workspace: Path,
) -> None:
    paths = Workspace(workspace)
    root = source or paths.sample_scans
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; name ScanNet's folder")
    if votenet_dir and not votenet_dir.is_dir():
        raise ConfigError(f"--votenet-dir {votenet_dir}: no such folder")

    if not votenet_dir:
        require("plyfile")

    from pipeline.summaries import print_scans_report
    from stages.precompute.downstream import prepare_scans as stage

    with wrong_usage():
        report = stage.run(
            root=root, store=paths.scans, votenet=votenet_dir, workers=workers or num_cores(),
            overwrite=overwrite,
        )  # fmt: skip
    print_scans_report(report, paths.scans)
    if report.failed:
        raise Failure(f"{len(report.failed)} scenes failed, see above")
    if strict and report.missing:
        raise Failure("some listed scenes are not there, see above (--strict)")


def _sample_of(paths: Workspace, data_set: DataSet) -> Path:
    match data_set:
        case DataSet.MODELNET40:
            return paths.sample_modelnet40
        case DataSet.SHAPENETPART:
            return paths.sample_shapenetpart
        case _:
            raise ConfigError("prepare scanobjectnn: name its folder; the sample world has none")
