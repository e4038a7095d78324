"""The command `pack-sens`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import (
    Debug,
    wrong_usage,
)
from pipeline.words import counted, names
from stages.settings import ConfigError

if TYPE_CHECKING:
    from stages.sources.rgbd_layouts.found import RgbdFolder
if TYPE_CHECKING:
    from stages.sources.sens_format import Matrix


def pack_sens(
    folder: Annotated[
        Path, typer.Argument(help="7-Scenes, TUM, Open3D or ScanNet-exporter layout.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .sens to write.")],
    depth_intrinsics: Annotated[
        str | None, typer.Option(metavar="FX,FY,CX,CY", help="Instead of the folder's own.")
    ] = None,
    color_intrinsics: Annotated[
        str | None,
        typer.Option(metavar="FX,FY,CX,CY", help="Default: the folder's, else the depth camera's."),
    ] = None,
    depth_shift: Annotated[
        float | None,
        typer.Option(min=1, max=65_535, help="Depth units per metre; TUM 5000, others 1000."),
    ] = None,
    frames: Annotated[
        str, typer.Option(metavar="FROM:TO", help="Only these, counted from 0, TO left out.")
    ] = ":",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    debug: Debug = False,
) -> None:
    """Pack a folder of colour, depth, pose and intrinsics files into one .sens.

    Known are frame-*.{color.jpg,depth.png,pose.txt}; rgb.txt, depth.txt and groundtruth.txt; and
    color/ or rgb/ beside depth/, with poses in pose/, trajectory.log or a list with a line a frame.
    """
    from dataclasses import replace

    from stages.sources import rgbd_folder
    from stages.sources.scannet_layout import checked_scene_id

    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists; replace it with --overwrite, or choose another --out")
    if out.suffix != ".sens":
        raise ConfigError(f"--out {out}: the name must end in .sens")
    with wrong_usage():
        checked_scene_id(out.stem, f"--out {out}")
        found = rgbd_folder.find_frames(folder)
    chosen = replace(found, frames=found.frames[_parse_range(frames)])
    if not chosen.frames:
        raise ConfigError(
            f"--frames {frames}: leaves none of the {len(found.frames)} frames of {folder}"
        )
    depth = _parse_intrinsics(depth_intrinsics) if depth_intrinsics else found.cameras.depth
    if depth is None:
        unused = f" (not understood: {names(found.unused)})" if found.unused else ""
        raise ConfigError(
            f"{folder} states no intrinsics{unused}; give --depth-intrinsics FX,FY,CX,CY"
        )
    color = _parse_intrinsics(color_intrinsics) if color_intrinsics else found.cameras.color
    if color is None:
        typer.echo("colour camera: no intrinsics known, the depth camera's are taken", err=True)
    count = rgbd_folder.pack_folder(
        chosen,
        out,
        depth_intrinsics=depth,
        color_intrinsics=color,
        depth_shift=depth_shift or found.depth_shift,
        sensor_name=found.layout,
    )
    typer.echo(f"{out}: {count} frames of {found.layout} layout")
    print_packed(found, chosen, frames)


def _parse_range(text: str) -> slice:
    first, colon, last = text.partition(":")
    ends = [int(end) if end.isdecimal() else None for end in (first, last)]
    if not colon or any(end and not end.isdecimal() for end in (first, last)):
        raise ConfigError(f"--frames {text}: expected FROM:TO, such as 100:200")
    return slice(*ends)


def _parse_intrinsics(text: str) -> "Matrix":
    from stages.sources.sens_writer import intrinsic_matrix

    try:
        fx, fy, cx, cy = (float(word) for word in text.split(","))
        return intrinsic_matrix(fx, fy, cx, cy)
    except ValueError:
        raise ConfigError(
            f"{text}: expected FX,FY,CX,CY in pixels, focal lengths positive, such as "
            "585,585,320,240"
        ) from None


def print_packed(found: "RgbdFolder", chosen: "RgbdFolder", asked: str) -> None:
    """Say what of a folder went into a .sens, and what did not; `chosen` are the frames `asked` for."""
    valid, lost = chosen.num_poses, len(chosen.frames) - chosen.num_poses
    if valid:
        typer.echo(f"  poses: {valid} valid, {lost} lost; from {found.poses_from}")
    else:
        source = f" in {found.poses_from}" if found.poses_from else ""
        typer.echo(f"  poses: none were found{source}: all are marked lost")
    if found.cameras.files:
        typer.echo(f"  cameras: from {', '.join(path.name for path in found.cameras.files)}")
    if found.by_order:
        typer.echo("  colour and depth have different names: they were paired by their order")
    last = asked.partition(":")[2]
    if last and int(last) > len(found.frames):
        typer.echo(f"  --frames {asked}: the folder has {len(found.frames)} frames, no more came")
    if found.incomplete:
        typer.echo(f"  left out: {counted(found.incomplete, 'frame')} without colour or depth")
    if found.unused:
        typer.echo(f"  not used: {names(found.unused)}")
