"""The command `label-frames`."""

from pathlib import Path
from typing import Annotated

import typer

from cache.workspace import Workspace
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Debug,
    Failure,
    Overwrite,
    Root,
    Workers,
    num_cores,
    wrong_usage,
)
from pipeline.packages import require
from pipeline.words import MAX_NAMES, counted
from stages.settings import ConfigError


def label_frames(
    scannet: Annotated[
        Path | None,
        typer.Option(help="ScanNet's folder with label images; default: the workspace's sample."),
    ] = None,
    workers: Workers = 0,
    overwrite: Overwrite = False,
    workspace: Root = DEFAULT_ROOT,
    debug: Debug = False,
) -> None:
    """Note which objects the extracted frames show, from ScanNet's label images.

    They are what `probe --data views` and the scores of captions are judged by; nothing learns from them.
    """
    paths = Workspace(workspace)
    root = scannet or paths.sample / "recordings"
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; name ScanNet's with --scannet DIR")
    require("cv2")

    from stages.precompute.recordings import label_frames as stage

    with wrong_usage():
        report = stage.run(
            root, frames=paths.frames, out=paths.frame_labels, workers=workers or num_cores(),
            overwrite=overwrite,
        )  # fmt: skip
    if report.complete_before:
        typer.echo(f"label-frames: {counted(report.scenes, 'scene')}, complete before")
    else:
        typer.echo(
            f"label-frames: {counted(report.scenes, 'scene')}, {counted(report.frames, 'frame')}"
        )
    if report.without:
        more = ", ..." if len(report.without) > MAX_NAMES else ""
        named = ", ".join(report.without[:MAX_NAMES])
        typer.echo(f"  without label images: {len(report.without)} ({named}{more})")
    for scene_id, error in sorted(report.failed.items()):
        typer.echo(f"  failed: {scene_id}: {error}")
    if report.failed:
        raise Failure(
            f"{counted(len(report.failed), 'scene')} failed, see above; nothing was written"
        )
    typer.echo(f"  in {paths.frame_labels}")
