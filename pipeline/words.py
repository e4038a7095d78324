"""What a stage tells a person when it begins and ends, in a few plain lines."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stages.checking.said import counts as counts
from stages.checking.said import gigabytes as gigabytes

if TYPE_CHECKING:
    from stages.loop.loop import Outcome

MAX_NAMES = 5


def counted(count: int, noun: str) -> str:
    """Write `1 scene` or `3 scenes`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def names(items: tuple[str, ...]) -> str:
    """Write a count and the first few names."""
    more = ", ..." if len(items) > MAX_NAMES else ""
    return f"{len(items)} ({', '.join(items[:MAX_NAMES])}{more})"


def print_training(
    command: str, outcome: "Outcome | None", folder: Path, *, overwrite: bool = False
) -> None:
    """Say how a training ended, and the way on if it was stopped.

    `overwrite`: the same command goes on with --overwrite, which what it replaces still needs.
    """
    if outcome is None:
        typer.echo(f"{command}: {folder} is finished already; --overwrite trains it again")
    elif outcome.finished:
        typer.echo(f"{command}: finished, {outcome.epoch} epochs; in {folder}")
        for name, value in outcome.metrics.items():
            if name.startswith(("val_", "chance_")):
                typer.echo(f"  {name:<16} {value:.4f}")
    else:
        why = f"on {outcome.stopped_by}" if outcome.stopped_by else "as asked"
        typer.echo(
            f"{command}: stopped {why} after step {outcome.step} of {outcome.total_steps} and saved in "
            f"{folder / 'last'}; the same command goes on from there{'' if overwrite else ' (without --overwrite)'}"
        )
