"""The command `caption`."""

from pathlib import Path
from typing import Annotated

import typer

from cache.workspace import Workspace
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Overrides,
    Root,
    open_device,
    wrong_usage,
)
from pipeline.commands.teacher_cache import need_trained
from pipeline.config import load_section
from stages.settings import ConfigError


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
    need_trained(settings, paths)
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
