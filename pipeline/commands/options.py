"""Options that several commands share, and how a command fails."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import ConfigError
from pipeline.workspace import Workspace

Config = Annotated[
    str, typer.Option("--config", "-c", help="A YAML file, or a shipped one by name.")
]
Root = Annotated[Path, typer.Option("--workspace", help="Folder of all artifacts.")]
Overrides = Annotated[
    list[str], typer.Option("--set", help="Change one value: section.key=value. Repeatable.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what another configuration or input made.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 1 if any frame or scene was left out.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0 is one for each core.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

DEFAULT_ROOT = Path("workspace")
INTERRUPTED = 130  # what Typer makes of Ctrl-C


class Failure(Exception):
    """The run ended, and part of it failed: exit 1 with this line."""


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def open_workspace(root: Path) -> Workspace:
    """Name the paths under a folder, which may be a new one. Raises ConfigError if it is a file."""
    root = root.expanduser()
    if root.exists() and not root.is_dir():
        raise ConfigError(f"--workspace {root}: it is a file; name a folder, it may be a new one")
    return Workspace(root)
