"""The command `extract`."""

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
from pipeline.words import counted, counts, gigabytes, names
from stages.machine.shares import Share
from stages.settings import ConfigError

if TYPE_CHECKING:
    from stages.precompute.recordings.extract import ExtractReport
    from stages.sources.scannet_layout import SceneList


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
    try:
        part = Share.parse(shard)
    except ValueError as error:
        raise ConfigError(f"--shard {error}") from None
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
    if part.count > 1:
        typer.echo(f"  of them, {num_mine} in share {part.number} of {part.count}")
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


def print_scene_list(found: "SceneList", *, official: bool) -> None:
    """Say how many scenes there are, and where they differ from ScanNet's own lists."""
    from stages.sources.scannet_layout import PUBLISHED_COUNTS

    size = sum(scene.size_bytes for scene in found.scenes)
    typer.echo(f"{counted(len(found.scenes), 'scene')}, {gigabytes(size)} of .sens")
    for split, count in found.listed.items() if official else ():
        if count != PUBLISHED_COUNTS[split]:
            typer.echo(
                f"  {split}: its list has {count}, ScanNetV2's own {PUBLISHED_COUNTS[split]}"
            )
    if found.missing:
        typer.echo(f"  listed, but no .sens there: {names(found.missing)}")
    if found.unlisted:
        typer.echo(f"  there, but in no split list, so left out: {names(found.unlisted)}")


def print_extract_report(report: "ExtractReport", paths: Workspace) -> None:
    """Say what was kept, rejected by reason, failed and why."""
    from cache.frames import KEPT

    rejected = {reason: n for reason, n in sorted(report.statuses.items()) if reason != KEPT}
    typer.echo(
        f"extract: {counted(report.extracted, 'scene')} extracted, {report.complete_before} complete before, "
        f"{len(report.failed)} failed"
    )
    typer.echo(
        f"  frames: {report.statuses[KEPT]} kept, {sum(rejected.values())} rejected"
        f"{': ' + counts(rejected) if rejected else ''}"
    )
    for scene_id, damage in sorted(report.damaged.items()):
        typer.echo(f"  not whole: {scene_id}: {damage}")
    for scene_id, error in sorted(report.failed.items()):
        typer.echo(f"  failed: {scene_id}: {error}")
    typer.echo(f"  in {paths.frames} and {paths.points}")
