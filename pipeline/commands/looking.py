"""Commands that look at what is there: `inspect`, `contact-sheet`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import (
    DEFAULT_ROOT,
    Debug,
    Failure,
    Root,
    need,
    wrong_usage,
)
from pipeline.config import ConfigError
from pipeline.workspace import Workspace


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
    paths = Workspace(workspace)
    for option, folder in (
        ("--scannet", scannet), ("--modelnet40", modelnet40), ("--shapenetpart", shapenetpart),
    ):  # fmt: skip
        if folder and not folder.is_dir():
            raise ConfigError(f"{option} {folder}: no such folder")
    others = (scannet, modelnet40, shapenetpart)
    if not any(others) and not scenes and paths.sample.is_dir():
        scannet, modelnet40, shapenetpart = (
            paths.sample_scans, paths.sample_modelnet40, paths.sample_shapenetpart,
        )  # fmt: skip
    if not any(others):
        _draw_frames(scenes, paths, num_frames)
    if scannet:
        from stages.report import scan_sheet

        with wrong_usage():
            folders = scan_sheet.scan_folders(scannet)[:num_frames]
        typer.echo(scan_sheet.run(folders, out=paths.figures / "scans.png"))
    if modelnet40:
        from stages.report import object_sheet

        out = paths.figures / "modelnet40.png"
        typer.echo(object_sheet.run_modelnet40(modelnet40, out=out))
    if shapenetpart:
        from stages.report import object_sheet

        out = paths.figures / "shapenetpart.png"
        typer.echo(object_sheet.run_shapenetpart(shapenetpart, out=out))


def _draw_frames(scenes: list[str] | None, paths: Workspace, num_frames: int) -> None:
    from cache.frames import frames_path
    from cache.scene_group import list_scenes
    from pipeline.summaries import names

    need(paths.points, "run extract first")
    for scene_id in scenes or ():
        if not frames_path(paths.frames, scene_id).is_file():
            there = names(tuple(list_scenes(paths.points)))
            raise ConfigError(f"{scene_id}: no such scene in {paths.frames}; there are {there}")

    from stages.report import frame_sheet

    with wrong_usage():
        chosen = scenes or frame_sheet.example_scenes(paths.frames, paths.points)
    for scene_id in chosen:
        out = paths.figures / f"frames_{scene_id}.png"
        typer.echo(frame_sheet.run(scene_id, frames=paths.frames, points=paths.points,
                                   out=out, num_rows=num_frames))  # fmt: skip
