"""The study run phase by phase, several units at a time; each unit's cells are lines when it ends."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.plans.study.lines import Lines, Unit
from pipeline.plans.study.units import Units
from stages.machine.progress import Progress, duration
from stages.machine.workers import run_all

if TYPE_CHECKING:
    from stages.training.study.cells import Machine


@dataclass
class Study:
    """Units, the lines of those that are done, and how the others are run."""

    units: Units
    lines: Lines
    machine: "Machine"
    jobs: int
    command: str
    failed: dict[str, str] = field(default_factory=dict)
    stopped_by: str | None = None

    def run(self, say: Callable[[str], None]) -> None:
        """Do what is not done, phase by phase; what fails leaves its cells empty."""
        for title, units in self.units.phases():
            left = [unit for unit in units if not self.lines.has(unit)]
            say(
                f"study: {title}: {len(units) - len(left)} of {len(units)} are there{self._hours(left)}"
            )
            self._run_all(title, left, say)
            if self.stopped_by or (self.failed and title != "fine-tunings"):
                return

    def _hours(self, left: Sequence[Unit]) -> str:
        """How long the rest would take, by what finished units of its kinds took."""
        if not left:
            return ""
        seconds = self.lines.seconds(left)
        about = (
            f", about {duration(seconds / self.jobs)} as {self.lines.path} has it"
            if seconds
            else ""
        )
        return f", {len(left)} to do{about}"

    def _run_all(self, title: str, units: Sequence[Unit], say: Callable[[str], None]) -> None:
        from stages.training.study.cells import Placed, do

        unit_of = {unit.name: unit for unit in units}
        placed = [Placed(unit.name, unit.job, self.machine) for unit in units]
        with Progress(f"study: {title}", len(units), "units") as progress:
            for outcome in run_all(do, placed, workers=self.jobs, update=progress.update):
                unit = unit_of[outcome.job.unit]
                if outcome.result is None:
                    self.failed[unit.name] = str(outcome.error)
                    say(f"  failed: {unit.name}: {outcome.error}")
                    continue
                if outcome.result.stopped_by:
                    self.stopped_by = outcome.result.stopped_by
                    return
                for cell in outcome.result.cells:
                    self.lines.add(unit, cell, outcome.result.seconds, self.command)
                if unit.leaves and unit.leaves.is_dir():
                    shutil.rmtree(unit.leaves)
