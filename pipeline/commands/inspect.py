"""The command `inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import (
    Debug,
    Failure,
)
from pipeline.lines import print_report
from stages.settings import ConfigError


def inspect(
    path: Annotated[Path, typer.Argument(help="A .sens, a workspace, or anything in one.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything: payloads, checksums, agreement.")
    ] = False,
    sens: Annotated[
        Path | None,
        typer.Option(help="With --verify of one scene: the .sens that it must have come from."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Say what an artifact or a .sens is, and whether it is whole."""
    from stages.checking.workspace import inspect_path

    if sens and not verify:
        raise ConfigError("--sens compares frame headers, which is part of --verify; give both")
    if not path.is_file() and not path.is_dir():
        there = "is neither a file nor a folder" if path.exists() else "nothing there"
        raise ConfigError(f"{path}: {there}")
    is_whole = True
    for number, report in enumerate(inspect_path(path, verify=verify, sens=sens)):
        if number:
            typer.echo()
        print_report(report)
        is_whole &= report.is_whole
    if not is_whole:
        raise Failure(f"{path}: not whole, see above")
