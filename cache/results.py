"""Finished cells of a study: one JSON line each, so that long work survives and is not done twice.

A line names its `study`, its `cell`, the `fingerprint` of what was run, and what came of it.
"""

import json
import os
from pathlib import Path

from cache.card import CardError, JsonDict


def read_cells(path: Path, study: str) -> dict[str, JsonDict]:
    """The lines of a study by cell, the last one counts; a last line that was cut off is left out.

    Raises CardError if another line is damaged.
    """
    found: dict[str, JsonDict] = {}
    lines = path.read_text().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            cell = json.loads(line)
            if cell["study"] == study:
                found[str(cell["cell"])] = cell
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise CardError(f"{path}: line {number} is damaged; delete that line") from None
    return found


def append_cell(path: Path, cell: JsonDict) -> None:
    """Add a line; it is on disk when this returns. A line that was cut off before is dropped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(cell).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
