"""Commands that look at what is there: `inspect`, `contact-sheet`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import (
    DEFAULT_ROOT,
    Debug,
    Failure,
    Root,
    open_workspace,
)
from pipeline.config import ConfigError


def inspect(
    path: Annotated[Path, typer.Argument(help="A .sens, a workspace, or anything in one.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything: payloads, checksums, agreement.")
    ] = False,
    sens: Annotated[
        Path | None,
        typer.Option(help="With --verify of one scene: the .sens that it must have come from."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Say what an artifact or a .sens is, and whether it is whole."""
    from pipeline.inspect.artifact import inspect_path

    if sens and not verify:
        raise ConfigError("--sens compares frame headers, which is part of --verify; give both")
    if not path.is_file() and not path.is_dir():
        there = "is neither a file nor a folder" if path.exists() else "nothing there"
        raise ConfigError(f"{path}: {there}")
    if not inspect_path(path, verify=verify, sens=sens):
        raise Failure(f"{path}: not whole, see above")


def contact_sheet(
    scenes: Annotated[
        list[str] | None, typer.Argument(help="Scene ids; default: the first of each split.")
    ] = None,
    num_frames: Annotated[int, typer.Option(min=1, help="Frames, or scans, of one sheet.")] = 4,
    scannet: Annotated[
        Path | None, typer.Option(help="Draw annotated meshes of a ScanNet folder instead.")
    ] = None,
    modelnet40: Annotated[Path | None, typer.Option(help="Draw this data set instead.")] = None,
    shapenetpart: Annotated[Path | None, typer.Option(help="Draw this data set instead.")] = None,
    workspace: Root = DEFAULT_ROOT,
    debug: Debug = False,
) -> None:
    """Draw extracted frames (image, points), scans with their labels, objects with their parts.

    Without arguments: what the workspace has, the sample world included.
    """
    from stages.report import frame_sheet, object_sheet, scan_sheet

    paths = open_workspace(workspace)
    others = (scannet, modelnet40, shapenetpart)
    if not any(others) and not scenes and paths.sample.is_dir():
        scannet, modelnet40, shapenetpart = (
            paths.sample_scans, paths.sample_modelnet40, paths.sample_shapenetpart,
        )  # fmt: skip
    if not any(others):
        for scene_id in scenes or frame_sheet.example_scenes(paths.frames, paths.points):
            out = paths.figures / f"frames_{scene_id}.png"
            typer.echo(frame_sheet.run(scene_id, frames=paths.frames, points=paths.points,
                                       out=out, num_rows=num_frames))  # fmt: skip
    if scannet:
        folders = scan_sheet.scan_folders(scannet)[:num_frames]
        typer.echo(scan_sheet.run(folders, out=paths.figures / "scans.png"))
    if modelnet40:
        out = paths.figures / "modelnet40.png"
        typer.echo(object_sheet.run_modelnet40(modelnet40, out=out))
    if shapenetpart:
        out = paths.figures / "shapenetpart.png"
        typer.echo(object_sheet.run_shapenetpart(shapenetpart, out=out))
