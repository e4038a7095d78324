"""Options that several commands share, and how a command fails."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals, signal
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from cache.card import CardError
from pipeline.config import check_file, check_override
from stages.machine.shares import own_share
from stages.settings import ConfigError

if TYPE_CHECKING:
    import torch

    from stages.loop.loop import Outcome

DEVICES = re.compile(r"auto|cpu|cuda(:[0-9]+)?")


def _checked_config(config: str) -> str:
    check_file(config)
    return config


def _checked_overrides(overrides: list[str]) -> list[str]:
    for text in overrides:
        check_override(text)
    return overrides


def _checked_device(name: str) -> str:
    if not DEVICES.fullmatch(name):
        raise ConfigError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    return name


def _checked_root(root: Path) -> Path:
    root = root.expanduser()
    if root.exists() and not root.is_dir():
        raise ConfigError(f"--workspace {root}: it is a file; name a folder, it may be a new one")
    return root


# Options check themselves as they are read, so that a slip is told before anything slow is imported.
Config = Annotated[
    str,
    typer.Option(
        "--config", "-c", help="A YAML file, or a shipped one by name.", callback=_checked_config
    ),
]
Root = Annotated[
    Path, typer.Option("--workspace", help="Folder of all artifacts.", callback=_checked_root)
]
Overrides = Annotated[
    list[str],
    typer.Option(
        "--set",
        help="Change one value: section.key=value. Repeatable.",
        callback=_checked_overrides,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what another configuration or input made.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 1 if any frame or scene was left out.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0 is one for each core.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", callback=_checked_device)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

DEFAULT_ROOT = Path("workspace")
# 128 and the signal's number, as shells have it: what Typer makes of Ctrl-C, and what a training
# exits with that saved on SIGHUP, SIGINT or SIGTERM, so that `pretrain && finetune` ends there too.
STOPPED = (129, 130, 143)


class Failure(Exception):
    """The run ended, and part of it failed: exit 1 with this line."""


def is_first_process() -> bool:
    """True for the process that speaks; torchrun numbers them."""
    return own_share().is_first


def exit_if_stopped(outcome: "Outcome | None") -> None:
    """End the command if a signal stopped its training, of several processes in each."""
    if outcome and outcome.stopped_by:
        raise typer.Exit(128 + Signals[outcome.stopped_by])


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end what is within it as exceptions do, so that nothing half-written is left.

    Ctrl-C also where it is ignored: a shell has it so for what it starts in the background.
    """

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal(number, end) for number in (SIGINT, SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler)


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Within it, what cannot be used was given on the command line: a ValueError is a ConfigError.

    What is damaged in the cache (CardError) is nobody's usage.
    """
    try:
        yield
    except CardError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from None


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def open_device(name: str) -> "torch.device":
    """The device of --device. Raises ConfigError if this machine has none such."""
    from stages.machine.device import choose_device

    with wrong_usage():
        return choose_device(name)
