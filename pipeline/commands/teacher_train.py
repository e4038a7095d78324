"""The command `teacher-train`."""

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
    Overwrite,
    Root,
    ending_on_signals,
    exit_if_stopped,
    num_cores,
    open_device,
)
from pipeline.config import load_section
from pipeline.words import print_training
from stages.settings import ConfigError


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
    from stages.precompute.teacher.caption_config import TeacherTrainConfig
    from stages.precompute.teacher.clipcap import load_checkpoint
    from stages.precompute.teacher.teachers import CHECKPOINT_FILE, TeacherConfig, load_teacher

    settings = load_section(config, "teacher_train", TeacherTrainConfig, overrides)
    folder, where = paths.teacher(settings.name), open_device(device)
    table = paths.figures.parent / f"captions_{settings.name}.html"
    with ending_on_signals():
        outcome = stage.run(
            settings, captions=pairs, out=folder, device=where, overwrite=overwrite,
            workers=workers or max(1, num_cores() - 1), say=typer.echo,
        )  # fmt: skip
        if outcome is not None and not outcome.finished:
            print_training(
                "teacher-train", outcome, stage.hidden_folder(folder), overwrite=overwrite
            )
            exit_if_stopped(outcome)
            return
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
