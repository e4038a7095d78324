"""The study's lines of results: which cells are there, and what they say of rates and of time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cache.card import CardError
from cache.results import append_cell, read_cells

if TYPE_CHECKING:
    from stages.training.study.cells import Job

STUDY = "study"
PRETRAIN, VIEWS, FROZEN, TUNED = "pretrain", "views", "frozen", "tuned"
CHOOSE_FROZEN, CHOOSE_TUNED = "choose-frozen", "choose-tuned"
NUMBERS = ("measures", "bars", "by_class")


@dataclass(frozen=True)
class Unit:
    """A job that gives some cells; `place` is what they have in common, `leaves` what can go then."""

    name: str
    fingerprint: str
    job: "Job"
    count: int
    place: dict[str, Any]
    leaves: Path | None = None

    @property
    def kind(self) -> str:
        """What is done: the first part of the name."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Lines:
    """A file of finished cells."""

    path: Path

    def of(self, unit: Unit) -> list[dict[str, Any]]:
        """A unit's lines, made of the same."""
        return [
            cell for cell in read_cells(self.path, STUDY).values()
            if cell["unit"] == unit.name and cell["fingerprint"] == unit.fingerprint
        ]  # fmt: skip

    def has(self, unit: Unit) -> bool:
        """Whether all of a unit's lines are there."""
        return len(self.of(unit)) == unit.count

    def add(self, unit: Unit, cell: Mapping[str, Any], seconds: float, command: str) -> None:
        """Add a cell of a unit; `seconds` is what all of the unit took."""
        place = {**unit.place, **{key: value for key, value in cell.items() if key not in NUMBERS}}
        # Of a rate that was chosen there is one line, whichever it is.
        told = ("percent", "subset", "seed", *(["rate"] if unit.kind == CHOOSE_FROZEN else []))
        ends = [f"{key}{place[key]:g}" for key in told if key in cell]
        append_cell(
            self.path,
            {
                "study": STUDY,
                "cell": "/".join([unit.name, *ends]),
                "unit": unit.name,
                "fingerprint": unit.fingerprint,
                "command": command,
                **place,
                **{key: cell[key] for key in NUMBERS if key in cell},
                "unit_seconds": seconds,
            },
        )

    def seconds(self, units: Sequence[Unit]) -> float | None:
        """How long these would take one by one, by what others of their kinds took; None if that is unknown."""
        took: dict[str, dict[str, float]] = defaultdict(dict)
        for cell in read_cells(self.path, STUDY).values():
            took[cell["unit"].partition("/")[0]][cell["unit"]] = cell["unit_seconds"]
        if any(unit.kind not in took for unit in units):
            return None
        return sum(median(took[unit.kind].values()) for unit in units)

    def chosen_rate(self, units: Sequence[Unit]) -> float:
        """The rate whose cells have the largest mean IoU, of equal ones the smallest. Raises CardError."""
        found = defaultdict(list)
        for unit in units:
            for cell in self.of(unit):
                found[cell["rate"]].append(cell["measures"]["miou"])
        if not found:
            raise CardError(f"{self.path}: no learning rate was chosen for {units[0].name}")
        return max(sorted(found), key=lambda rate: sum(found[rate]) / len(found[rate]))
