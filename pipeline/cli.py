"""The command line: which commands there are, in which order, and how they end."""

import sys
import traceback
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from cache.card import OtherConfigurationError
from pipeline.commands.caption import caption
from pipeline.commands.contact_sheet import contact_sheet
from pipeline.commands.embed import embed
from pipeline.commands.evaluate import evaluate
from pipeline.commands.extract import extract
from pipeline.commands.finetune import finetune
from pipeline.commands.finetune_all import finetune_all
from pipeline.commands.inspect import inspect
from pipeline.commands.label_frames import label_frames
from pipeline.commands.options import STOPPED, Failure, is_first_process
from pipeline.commands.pack_sens import pack_sens
from pipeline.commands.predict import predict
from pipeline.commands.prepare import prepare
from pipeline.commands.pretrain import pretrain
from pipeline.commands.pretrain_all import pretrain_all
from pipeline.commands.probe import probe
from pipeline.commands.sample import sample
from pipeline.commands.study import study
from pipeline.commands.teacher_cache import teacher_cache
from pipeline.commands.teacher_train import teacher_train
from pipeline.commands.variants import variants
from pipeline.packages import explained
from stages.settings import ConfigError

# Their work is what they print; all others go on when nobody reads it any more.
PRINTED = ("inspect", "caption", "variants")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distill3d {metadata.version('distill3d')}")
        raise typer.Exit


def common(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """3D point cloud pre-training with knowledge distillation from 2D images."""
    if context.invoked_subcommand not in PRINTED:
        from stages.machine.progress import outlive_readers

        outlive_readers()


app.callback()(common)
app.command("sample")(sample)
app.command("extract")(extract)
app.command("label-frames")(label_frames)
app.command("teacher-train")(teacher_train)
app.command("teacher-cache")(teacher_cache)
app.command("pretrain")(pretrain)
app.command("pretrain-all")(pretrain_all)
app.command("variants")(variants)
app.command("study")(study)
app.command("prepare")(prepare)
app.command("finetune")(finetune)
app.command("finetune-all")(finetune_all)
app.command("probe")(probe)
app.command("evaluate")(evaluate)
app.command("predict")(predict)
app.command("caption")(caption)
app.command("embed")(embed)
app.command("pack-sens")(pack_sens)
app.command("inspect")(inspect)
app.command("contact-sheet")(contact_sheet)


def main() -> NoReturn:
    """Run the command line.

    Exit 0 done, 1 the run failed, 2 wrong usage or configuration, 130 stopped by Ctrl-C, 143 by
    SIGTERM, 129 by SIGHUP.
    """
    debug = "--debug" in sys.argv
    try:
        app()
    except SystemExit as end:
        if end.code in STOPPED and is_first_process():
            _say("stopped; the same command goes on from here", debug=False)
        raise
    except (ConfigError, OtherConfigurationError) as error:
        _say(explained(error), debug=debug)
        sys.exit(2)
    except (Failure, ValueError, OSError, ImportError) as error:
        _say(explained(error), debug=debug)
        sys.exit(1)
    sys.exit(0)


def _say(message: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    typer.echo(f"distill3d: {message}", err=True)
