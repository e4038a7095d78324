"""Commands of the teacher: `teacher-train`, `teacher-cache`, `caption`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cache.workspace import Workspace
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
    need,
    num_cores,
    open_device,
    wrong_usage,
)
from pipeline.config import load_section
from stages.settings import ConfigError

if TYPE_CHECKING:
    from stages.precompute.teacher.teachers import TeacherConfig


def teacher_train(
    captions: Annotated[
        Path | None, typer.Option(help="Pairs to learn from; default: the workspace's.")
    ] = None,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes; 0 chooses.")] = 0,
    overwrite: Overwrite = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Train a ClipCap of your own on pairs of image and caption, and judge its captions."""
    paths = Workspace(workspace)
    pairs = captions or paths.captions
    if not pairs.is_file():
        raise ConfigError(f"{pairs}: no such file; name one with --captions, or run sample first")

    from stages.captioning.caption import judge
    from stages.captioning.decode import load_captioner
    from stages.precompute.teacher import teacher_train as stage
    from stages.precompute.teacher.caption_trainer import TeacherTrainConfig
    from stages.precompute.teacher.clipcap import load_checkpoint
    from stages.precompute.teacher.teachers import CHECKPOINT_FILE, TeacherConfig, load_teacher

    settings = load_section(config, "teacher_train", TeacherTrainConfig, overrides)
    folder, where = paths.teacher(settings.name), open_device(device)
    table = paths.figures.parent / f"captions_{settings.name}.html"
    with ending_on_signals():
        stage.run(
            settings, captions=pairs, out=folder, device=where, overwrite=overwrite,
            workers=workers or max(1, num_cores() - 1), say=typer.echo,
        )  # fmt: skip
        trained = TeacherConfig(name=settings.name, source="trained")
        teacher = load_teacher(trained, trained=folder).to(where)
        checkpoint = folder / CHECKPOINT_FILE
        captioner = load_captioner(
            load_checkpoint(checkpoint), str(folder), where=str(checkpoint), device=where
        )
        found = judge(teacher, captioner, pairs, table=table)
    typer.echo(f"teacher-train: {folder}; captions beside their images: {table}")
    for what, scores in (("captions", found.captions), ("shuffled control", found.shuffled)):
        typer.echo(
            f"  nouns of {what}, {found.num_images} unseen images: precision "
            f"{scores.precision:.3f}, recall {scores.recall:.3f}, F1 {scores.f1:.3f}"
        )


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

    from pipeline.summaries import counted, print_cache_report
    from stages.precompute.teacher import teacher_cache as stage
    from stages.precompute.teacher.teachers import TeacherConfig, load_teacher

    settings = load_section(config, "teacher", TeacherConfig, overrides)
    _need_trained(settings, paths)
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
            share=(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))),
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


def caption(
    image: Annotated[Path | None, typer.Option(help="An image file.")] = None,
    frame: Annotated[
        str | None,
        typer.Option(metavar="SCENE:INDEX", help="A cached frame: its prefix, not its image."),
    ] = None,
    beams: Annotated[
        int, typer.Option(min=1, help="1 is greedy; ClipCap's beam search uses 5.")
    ] = 1,
    device: Device = "auto",
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Say in words what the teacher sees in an image, or what a cached prefix holds."""
    if (image is None) == (frame is None):
        raise ConfigError("give either --image FILE or --frame SCENE:INDEX")
    scene_id, _, index = (frame or "").rpartition(":")
    if frame and not (scene_id and index.isdecimal()):
        raise ConfigError(f"--frame {frame}: expected SCENE:INDEX, such as scene0000_00:25")
    encoded = _read_image(image) if image else b""
    from cache.frames import frames_path

    paths = Workspace(workspace)
    if frame and not frames_path(paths.frames, scene_id).is_file():
        raise ConfigError(
            f"--frame {frame}: no scene {scene_id} in {paths.frames}; extract it first"
        )

    from stages.captioning import caption as stage
    from stages.captioning.decode import load_captioner
    from stages.precompute.teacher.clipcap import load_checkpoint
    from stages.precompute.teacher.teachers import TeacherConfig, checkpoint_file, load_teacher

    settings = load_section(config, "teacher", TeacherConfig, overrides)
    if settings.kind in ("timm", "clip-global"):
        raise ConfigError(
            f"teacher.kind = {settings.kind}: it gives an image's embedding, which no language model was "
            "trained to say in words; caption is for kind clipcap"
        )
    _need_trained(settings, paths)
    prefix = None
    if frame:  # before a language model is loaded
        with wrong_usage():
            prefix = stage.frame_prefix(
                frames=paths.frames, store=paths.prefixes(settings.name), scene_id=scene_id,
                frame_index=int(index),
            )  # fmt: skip
    where = open_device(device)
    folder = paths.teacher(settings.trained)
    checkpoint = checkpoint_file(settings, folder)
    tokenizer = str(folder) if settings.source == "trained" else settings.tokenizer
    captioner = load_captioner(
        load_checkpoint(checkpoint), tokenizer, where=str(checkpoint), device=where
    )
    if prefix is not None:
        with wrong_usage():
            typer.echo(stage.caption_prefix(captioner, prefix, beams=beams))
        return
    teacher = load_teacher(settings, trained=folder).to(where)
    typer.echo(stage.caption_image(teacher, captioner, encoded, beams=beams))


def _read_image(path: Path) -> bytes:
    """Read an image file and see that it decodes, before any model is loaded. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"--image {path}: no such file")
    from stages.precompute.teacher.clip_images import open_image

    encoded = path.read_bytes()
    try:
        open_image(encoded)
    except ValueError as error:
        raise ConfigError(f"--image {path}: cannot be decoded: {error}") from None
    return encoded


def _need_trained(settings: "TeacherConfig", paths: Workspace) -> None:
    """Raise ConfigError if a teacher of one's own is configured and not there."""
    if settings.kind == "clipcap" and settings.source == "trained":
        need(paths.teacher(settings.trained), "run teacher-train first")
