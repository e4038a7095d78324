"""Commands that make and read recordings: `sample`, `extract`, `pack-sens`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from stages.sources.sens import Matrix


def sample(
    workers: Workers = 0,
    config: Config = "demo",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Write the sample world: synthetic rooms in the formats of the real data."""
    require("open3d", "cv2")
    from stages.sample import sample as stage

    settings = load_section(config, "sample", stage.SampleConfig, overrides)
    paths = Workspace(workspace)
    stage.run(settings, out=paths.sample, captions=paths.captions, workers=workers or num_cores())
    typer.echo(f"sample: {paths.sample} and {paths.captions}")


def extract(
    sens: Annotated[
        list[Path] | None,
        typer.Argument(help="Any .sens files or folders of them, instead of a ScanNet folder."),
    ] = None,
    scannet: Annotated[
        Path, typer.Option(help="ScanNet's folder: scans/<scene>/<scene>.sens and split lists.")
    ] = Path("data/scannet"),
    split: Annotated[
        str | None,
        typer.Option(help="Split of .sens files named one by one; train if not given."),
    ] = None,
    workers: Workers = 0,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="This job's share, 0/N to N-1/N, of an array of N.")
    ] = "0/1",
    overwrite: Overwrite = False,
    strict: Strict = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Turn every 25th RGB-D frame of each .sens into points and a manifest."""
    from pipeline.summaries import counted, print_extract_report, print_scene_list
    from stages.precompute.recordings import extract as stage
    from stages.precompute.recordings.extract_scene import ExtractConfig
    from stages.sources.scannet_layout import SPLITS, find_scenes, scenes_from_files

    settings = load_section(config, "extract", ExtractConfig, overrides)
    if split and split not in SPLITS:
        raise ConfigError(f"--split {split}: expected one of {', '.join(SPLITS)}")
    if split and not sens:
        raise ConfigError(
            f"--split {split} is for .sens files named one by one; of a ScanNet folder choose with "
            f'--set "extract.splits=[{split}]"'
        )
    part = _parse_shard(shard)
    paths = Workspace(workspace)
    with wrong_usage():
        if sens:
            found = scenes_from_files(sens, split or "train")
        else:
            found = find_scenes(scannet.expanduser(), settings.splits)
    require("open3d")
    print_scene_list(found, official=not sens)
    if sens and not split:
        typer.echo(
            "  all of split train, none is held out. pretrain validates on split val: extract some "
            "other recordings with --split val"
        )
    if not found.scenes:
        raise ConfigError(f"none of the scenes in the split lists has a .sens below {scannet}")
    num_mine = len(stage.share(found.scenes, part))
    if part[1] > 1:
        typer.echo(f"  of them, {num_mine} in share {part[0]} of {part[1]}")
    report = stage.run(
        settings,
        scenes=found.scenes,
        frames=paths.frames,
        points=paths.points,
        shard=part,
        workers=workers or num_cores(),
        overwrite=overwrite,
    )
    print_extract_report(report, paths)
    if debug:
        typer.echo("".join(report.traces), err=True)
    if report.failed:
        raise Failure(f"{len(report.failed)} of {counted(num_mine, 'scene')} failed, see above")
    if strict and (report.skipped_anything or found.missing):
        raise Failure("something was left out, see above (--strict)")


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

    from pipeline.summaries import names, print_packed
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


def _parse_shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise ConfigError(f"--shard {text}: expected I/N with I from 0 to N-1, such as 0/16")


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
