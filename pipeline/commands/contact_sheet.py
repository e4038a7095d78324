"""The command `contact-sheet`."""

from pathlib import Path
from typing import Annotated

import typer

from cache.workspace import Workspace
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Debug,
    Root,
    wrong_usage,
)
from stages.settings import ConfigError


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

    Over a frame's image lie yellow dots where its depth jumps: unless they follow the edges of things,
    intrinsics or the transform between the cameras are wrong. Without arguments: what the workspace
    has of extracted frames, prepared scans and the sample world.
    """
    paths = Workspace(workspace)
    for option, folder in (
        ("--scannet", scannet), ("--modelnet40", modelnet40), ("--shapenetpart", shapenetpart),
    ):  # fmt: skip
        if folder and not folder.is_dir():
            raise ConfigError(f"{option} {folder}: no such folder")
    if scannet or modelnet40 or shapenetpart:
        _draw_data_sets(scannet, modelnet40, shapenetpart, paths, num_frames)
    elif scenes:
        _draw_scenes(scenes, paths, num_frames)
    else:
        _draw_workspace(paths, num_frames)


def _draw_data_sets(
    scannet: Path | None,
    modelnet40: Path | None,
    shapenetpart: Path | None,
    paths: Workspace,
    num_scans: int,
) -> None:
    from stages.report.figures import object_sheet, scan_sheet

    if scannet:
        with wrong_usage():
            folders = scan_sheet.scan_folders(scannet)[:num_scans]
        typer.echo(scan_sheet.run(folders, out=paths.figures / "scans.png"))
    if modelnet40:
        out = paths.figures / "modelnet40.png"
        typer.echo(object_sheet.run_modelnet40(modelnet40, out=out))
    if shapenetpart:
        out = paths.figures / "shapenetpart.png"
        typer.echo(object_sheet.run_shapenetpart(shapenetpart, out=out))


def _draw_scenes(scenes: list[str], paths: Workspace, num_frames: int) -> None:
    """Each as what the workspace has it: extracted frames, or else a prepared scan."""
    from cache.scene_group import list_scenes
    from pipeline.words import names
    from stages.report.figures import frame_sheet, scan_sheet

    extracted = list_scenes(paths.points)
    prepared = scan_sheet.prepared_scenes(sorted(paths.all_scans.glob("*.zarr")))
    for scene_id in scenes:
        if scene_id not in extracted and scene_id not in prepared:
            there = names((*extracted, *prepared)) if extracted or prepared else "none"
            raise ConfigError(f"{scene_id}: no such scene in {paths.root}; there are {there}")
    for scene_id in scenes:
        if scene_id not in extracted:
            out = paths.figures / f"scan_{scene_id}.png"
            typer.echo(scan_sheet.run_prepared({scene_id: prepared[scene_id]}, out=out))
        else:
            out = paths.figures / f"frames_{scene_id}.png"
            typer.echo(frame_sheet.run(scene_id, frames=paths.frames, points=paths.points,
                                       out=out, num_rows=num_frames))  # fmt: skip


def _draw_workspace(paths: Workspace, num_frames: int) -> None:
    from stages.report.figures import frame_sheet, scan_sheet

    extracted = frame_sheet.example_scenes(paths.frames, paths.points)
    prepared = scan_sheet.prepared_scenes(sorted(paths.all_scans.glob("*.zarr")))
    scans = dict(list(prepared.items())[:num_frames])
    if not extracted and not scans and not paths.sample.is_dir():
        raise ConfigError(
            f"{paths.root}: no extracted frames, prepared scans or sample world there; run extract, "
            "prepare scannet or sample first, or name a data set's folder with --scannet, "
            "--modelnet40 or --shapenetpart"
        )
    if extracted:
        _draw_scenes(extracted, paths, num_frames)
    if paths.sample.is_dir():
        _draw_data_sets(
            paths.sample_scans, paths.sample_modelnet40, paths.sample_shapenetpart, paths, num_frames
        )  # fmt: skip
    elif scans:
        out = paths.figures / "scans.png"
        typer.echo(scan_sheet.run_prepared(scans, out=out))
