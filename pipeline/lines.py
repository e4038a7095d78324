"""How `inspect` writes: what on the left, its value on the right."""

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

COLUMN = 18  # of what, before its value


def line(what: str, text: str) -> None:
    """Print one fact."""
    typer.echo(f"{what:<{COLUMN}} {text}")


def made_with(config: Mapping[str, Any]) -> None:
    """Print a configuration in lines as wide as the terminal, what was left at none or off left out."""
    width = shutil.get_terminal_size().columns - COLUMN - 1  # 80 where there is no terminal
    rows = [""]
    for setting in _flat(config):
        longer = f"{rows[-1]}, {setting}" if rows[-1] else setting
        if len(longer) < width or not rows[-1]:  # a comma follows
            rows[-1] = longer
        else:
            rows[-1] += ","
            rows.append(setting)
    for number, row in enumerate(rows):
        line("" if number else "made with", row)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None and value is not False:
            yield f"{prefix}{key} {value}"


def verdict(problems: list[str], *, verify: bool) -> bool:
    """Print each problem and whether the artifact is whole, and return that."""
    for problem in problems:
        line("problem", problem)
    line("whole", "no" if problems else "yes" + (", all of it read" if verify else ""))
    return not problems


def matrix(what: str, values: NDArray[np.float32]) -> None:
    """Print a (4, 4) matrix."""
    rows = ["  ".join(f"{value:9.4f}" for value in row) for row in values]
    if not np.isfinite(values).any():
        rows = ["lost"]
    elif np.array_equal(values, np.eye(4)):
        rows = ["identity"]
    for index, row in enumerate(rows):
        line(what if index == 0 else "", row)
