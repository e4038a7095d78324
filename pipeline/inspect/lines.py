"""How `inspect` writes: what on the left, its value on the right."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray


def line(what: str, text: str) -> None:
    """Print one fact."""
    typer.echo(f"{what:<18} {text}")


def made_with(config: Mapping[str, Any]) -> None:
    """Print a configuration, what was left at none or off left out."""
    line("made with", ", ".join(_flat(config)))


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
