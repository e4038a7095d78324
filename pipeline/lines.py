"""How `inspect` writes: what on the left, its value on the right."""

import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stages.checking.findings import Report

COLUMN = 18  # of what, before its value


def print_report(report: "Report") -> None:
    """Print what was found of an artifact: its facts, each problem, and whether it is whole."""
    for what, value in report.facts:
        if isinstance(value, str):
            line(what, value)
        elif isinstance(value, Mapping):
            configuration(what, value)
        else:
            matrix(what, value)
    for finding in report.findings:
        line("problem", str(finding))
    if len(report.facts) > 1 or report.findings:
        whole = "yes" + (", all of it read" if report.all_read else "")
        line("whole", whole if report.is_whole else "no")


def line(what: str, text: str) -> None:
    """Print one fact."""
    typer.echo(f"{what:<{COLUMN}} {text}")


def configuration(what: str, config: Mapping[str, Any]) -> None:
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
        line("" if number else what, row)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None and value is not False:
            yield f"{prefix}{key} {value}"


def matrix(what: str, values: "NDArray[np.float32]") -> None:
    """Print a (4, 4) matrix."""
    import numpy as np

    rows = ["  ".join(f"{value:9.4f}" for value in row) for row in values]
    if not np.isfinite(values).any():
        rows = ["lost"]
    elif np.array_equal(values, np.eye(4)):
        rows = ["identity"]
    for index, row in enumerate(rows):
        line(what if index == 0 else "", row)
