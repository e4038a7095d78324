"""The command `teacher-cache`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cache.workspace import Workspace
from pipeline.choices import need
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Failure,
    Overrides,
    Overwrite,
    Root,
    Strict,
    ending_on_signals,
    num_cores,
    open_device,
)
from pipeline.config import load_section
from pipeline.words import counted

if TYPE_CHECKING:
    from stages.precompute.teacher.teacher_cache import CacheReport

if TYPE_CHECKING:
    from stages.precompute.teacher.teachers import TeacherConfig


def teacher_cache(
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes; 0 chooses.")] = 0,
    overwrite: Overwrite = False,
    strict: Strict = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Cache what the frozen 2D teacher says of every kept frame.

    Under torchrun, each process takes its share of the scenes and its own GPU.
    """
    paths = Workspace(workspace)
    need(paths.points, "run extract first")

    from stages.machine.shares import own_share
    from stages.precompute.teacher import teacher_cache as stage
    from stages.precompute.teacher.teachers import TeacherConfig, load_teacher

    settings = load_section(config, "teacher", TeacherConfig, overrides)
    need_trained(settings, paths)
    where = open_device(device)
    teacher = load_teacher(settings, trained=paths.teacher(settings.trained)).to(where)
    store = paths.prefixes(settings.name)
    with ending_on_signals():
        report = stage.run(
            settings,
            teacher,
            frames=paths.frames,
            points=paths.points,
            store=store,
            workers=workers or max(1, num_cores() - 1),
            share=own_share(),
            overwrite=overwrite,
        )
    print_cache_report(report, store)
    if report.failed:
        raise Failure(
            f"{counted(len(report.failed), 'scene')} failed and not stored, see above; the same command "
            "tries again"
        )
    if strict and report.invalid:
        raise Failure("some images could not be decoded, see above (--strict)")


def need_trained(settings: "TeacherConfig", paths: Workspace) -> None:
    """Raise ConfigError if a teacher of one's own is configured and not there."""
    if settings.kind == "clipcap" and settings.source == "trained":
        need(paths.teacher(settings.trained), "run teacher-train first")


def print_cache_report(report: "CacheReport", store: Path) -> None:
    """Say what was cached, what could not be decoded, and what failed."""
    typer.echo(
        f"teacher-cache: {counted(report.cached, 'scene')} cached, {report.complete_before} complete "
        f"before, {len(report.failed)} failed"
    )
    invalid = sum(report.invalid.values())
    typer.echo(f"  images: {report.images - invalid} valid, {invalid} cannot be decoded")
    for scene_id, count in sorted(report.invalid.items()):
        why = f" ({report.faults[scene_id]})" if scene_id in report.faults else ""
        typer.echo(f"  not decoded: {scene_id}: {counted(count, 'image')}{why}")
    for scene_id, error in sorted(report.failed.items()):
        typer.echo(f"  failed: {scene_id}: {error}")
    if report.num_train_rows is None:
        typer.echo("  statistics: not yet, other scenes are still missing")
    else:
        typer.echo(f"  statistics: over {report.num_train_rows} training rows")
    typer.echo(f"  in {store}")
