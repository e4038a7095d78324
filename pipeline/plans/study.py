"""The claim in miniature: arms pre-trained, probed and fine-tuned on few labels, cell by cell.

The plan is docs/study-plan.md. Its units are done in phases, several at a time; each unit's cells are lines of
results, and what has its lines is not done again.
"""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cache.card import CardError, fingerprint
from cache.results import append_cell, read_cells
from cache.scene_group import Listing
from cache.workspace import Workspace
from pipeline.choices import Choices, need_scans
from pipeline.plans.arms import Arms
from pipeline.probes import SCANS
from stages.machine.progress import Progress, duration
from stages.machine.workers import run_all
from stages.settings import ConfigError
from stages.training.study.settings import SCRATCH, StudyConfig
from stages.training.study.subsets import count_of, official, subset
from stages.training.tasks.scans import annotated, scan_inputs

if TYPE_CHECKING:
    from stages.training.study.cells import Job, Machine
    from stages.training.tasks.segmentation.config import SegmentationConfig

STUDY = "study"
PRETRAIN, FROZEN, TUNED = "pretrain", "frozen", "tuned"
CHOOSE_FROZEN, CHOOSE_TUNED = "choose-frozen", "choose-tuned"
WARM_UP = 0.1  # of a fine-tuning's steps

Subsets = dict[float, list[list[str]]]


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


@dataclass
class Study:
    """All units of a study, by phase, and how they are run."""

    choices: Choices
    settings: StudyConfig
    results: Path
    machine: "Machine"
    jobs: int
    failed: dict[str, str] = field(default_factory=dict)
    stopped_by: str | None = None
    _listings: dict[Path, Listing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know the arms. Raises ConfigError if one is no variant."""
        self.arms = Arms(self.choices)
        for arm in self.settings.arms:
            if arm != SCRATCH:
                self.arms.named(arm)

    def phases(self) -> Iterator[tuple[str, list[Unit]]]:
        """Titles and units, each phase after those before it have been run."""
        yield (
            "pre-trainings",
            [self._pretraining(arm, n) for arm, n in self._starts() if arm != SCRATCH],
        )
        yield (
            "learning rates",
            [
                *(self._choose_frozen(arm) for arm in self.settings.arms),
                *(unit for arm in self.settings.arms for unit in self._choose_tuned(arm)),
            ],
        )
        yield "frozen features", [self._frozen(arm, n) for arm, n in self._starts()]
        yield (
            "fine-tunings",
            [unit for percent in self.settings.tuned_steps for unit in self._tuned(percent)],
        )

    def run(self, say: Callable[[str], None]) -> None:
        """Do what is not done, phase by phase; what fails leaves its cells empty."""
        for title, units in self.phases():
            left = [unit for unit in units if not self.is_done(unit)]
            say(
                f"study: {title}: {len(units) - len(left)} of {len(units)} are there{self._hours(left)}"
            )
            self._run_all(title, left, say)
            if self.stopped_by or (self.failed and title != "fine-tunings"):
                return

    def is_done(self, unit: Unit) -> bool:
        """Whether all of a unit's lines are there, made of the same."""
        return len(self.cells_of(unit)) == unit.count

    def cells_of(self, unit: Unit) -> list[dict[str, Any]]:
        """A unit's lines."""
        return [
            cell for cell in read_cells(self.results, STUDY).values()
            if cell["unit"] == unit.name and cell["fingerprint"] == unit.fingerprint
        ]  # fmt: skip

    def _hours(self, left: Sequence[Unit]) -> str:
        """How long the rest would take, by what finished units of its kinds took."""
        if not left:
            return ""
        took: dict[str, dict[str, float]] = defaultdict(dict)
        for cell in read_cells(self.results, STUDY).values():
            took[cell["unit"].partition("/")[0]][cell["unit"]] = cell["job_seconds"]
        if any(unit.kind not in took for unit in left):
            return f", {len(left)} to do"
        total = sum(median(took[unit.kind].values()) for unit in left) / self.jobs
        return (
            f", {len(left)} to do, about {duration(total)} at the speed of those in {self.results}"
        )

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
                    append_cell(self.results, self._line(unit, cell, outcome.result.seconds))
                if unit.leaves and unit.leaves.is_dir():
                    shutil.rmtree(unit.leaves)

    def _line(self, unit: Unit, cell: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        place = {**unit.place, **{key: value for key, value in cell.items() if key not in NUMBERS}}
        # Of a rate that was chosen there is one line, whichever it is.
        told = ("percent", "subset", "seed", *(["rate"] if unit.kind == CHOOSE_FROZEN else []))
        ends = [f"{key}{place[key]:g}" for key in told if key in cell]
        return {
            "study": STUDY,
            "cell": "/".join([unit.name, *ends]),
            "unit": unit.name,
            "fingerprint": unit.fingerprint,
            "command": f"distill3d study -c {self.choices.config}",
            **place,
            **{key: cell[key] for key in NUMBERS if key in cell},
            "job_seconds": seconds,
        }

    # Starts

    def _starts(self) -> list[tuple[str, int]]:
        return [
            (arm, number)
            for arm in self.settings.arms
            for number in range(self.settings.repeats(arm))
        ]

    def _source(self, arm: str, number: int) -> str:
        if arm == SCRATCH:
            return SCRATCH
        return str(self.choices.paths.pretrained(self.arms.settings(arm, number).name))

    def _told_apart(self, arm: str, number: int) -> str:
        return f"{SCRATCH} {number}" if arm == SCRATCH else self.arms.fingerprint(arm, number)

    def _pretraining(self, arm: str, number: int) -> Unit:
        from stages.training.study.cells import Pretraining

        if why := self.arms.why_not(arm):
            raise ConfigError(f"{arm}: {why}")
        settings, paths = self.arms.settings(arm, number), self.choices.paths
        job = Pretraining(
            settings, paths.frames, paths.points, self.arms.store(settings),
            paths.pretrained(settings.name),
        )  # fmt: skip
        name = f"{PRETRAIN}/{arm}/{number}"
        return Unit(
            name, self.arms.fingerprint(arm, number), job, 1, {"arm": arm, "pre_training": number}
        )

    # Scans

    @property
    def choosing(self) -> Workspace:
        """The workspace of the world in which learning rates are chosen."""
        return Workspace(self.choices.paths.study / "choosing")

    def _listed(self, paths: Workspace) -> Listing:
        store = need_scans(paths, SCANS)
        if store not in self._listings:
            self._listings[store] = Listing.read(store)
        return self._listings[store]

    @cached_property
    def _subsets(self) -> Subsets:
        """Names of scans by budget, a list a subset."""
        lists, names = self.settings.lists, annotated(self._listed(self.choices.paths), ("train",))
        if lists:
            return {percent: [official(lists, percent)] for percent in self.settings.percent}
        return {
            percent: [
                subset(names, count_of(percent, len(names)), number)
                for number in range(self.settings.subsets)
            ]
            for percent in self.settings.percent
        }

    @cached_property
    def _subsets_to_choose(self) -> list[list[str]]:
        """As many scans as the primary budget has, of the choosing world."""
        wanted = len(self._subsets[self.settings.primary][0])
        names = annotated(self._listed(self.choosing), ("train",))
        return [subset(names, wanted, number) for number in range(self.settings.choosing.subsets)]

    @cached_property
    def _segmentation(self) -> "SegmentationConfig":
        from stages.training.tasks.segmentation.config import SegmentationConfig

        return self.choices.section("segmentation", SegmentationConfig)

    # Frozen

    def _frozen(self, arm: str, number: int) -> Unit:
        rate = self._chosen([self._choose_frozen(arm)])
        return self._frozen_unit(
            f"{FROZEN}/{arm}/{number}", arm, number, self.choices.paths, self._subsets, [rate],
            self.settings.seeds,
        )  # fmt: skip

    def _choose_frozen(self, arm: str) -> Unit:
        subsets = {self.settings.primary: self._subsets_to_choose}
        rates = self.settings.frozen_rates
        return self._frozen_unit(f"{CHOOSE_FROZEN}/{arm}", arm, 0, self.choosing, subsets, rates, 1)

    def _frozen_unit(
        self, name: str, arm: str, number: int, paths: Workspace, subsets: Subsets,
        rates: Sequence[float], seeds: int,
    ) -> Unit:  # fmt: skip
        from stages.training.study.cells import Frozen

        store, settings = paths.scans(SCANS), self._segmentation
        job = Frozen(
            self._source(arm, number),
            number,
            store,
            settings,
            subsets,
            seeds,
            rates,
            self.settings.frozen_steps,
        )
        told = {
            "start": self._told_apart(arm, number),
            "scans": scan_inputs(self._listed(paths), settings.splits),
            "shown": [settings.num_points, settings.encoder.model_dump(), settings.norm_input],
            "subsets": {f"{percent:g}": own for percent, own in subsets.items()},
            "rates": list(rates),
            "steps": self.settings.frozen_steps,
            "seeds": seeds,
        }
        count = seeds * len(rates) * sum(map(len, subsets.values()))
        return Unit(name, fingerprint(told), job, count, {"arm": arm, "pre_training": number})

    # Fine-tuned

    def _tuned(self, percent: float) -> Iterator[Unit]:
        for arm in self.settings.arms:
            rate = self._chosen(self._choose_tuned(arm))
            for number in range(self.settings.repeats(arm)):
                for labels, names in enumerate(self._subsets[percent]):
                    name = f"{TUNED}/{arm}/{number}/{percent:g}/{labels}"
                    place = {"percent": percent, "subset": labels, "seed": number, "rate": rate}
                    yield self._tuned_unit(
                        name, arm, number, self.choices.paths, names, percent, place
                    )

    def _choose_tuned(self, arm: str) -> list[Unit]:
        percent = self.settings.primary
        return [
            self._tuned_unit(
                f"{CHOOSE_TUNED}/{arm}/{rate:g}/{labels}", arm, 0, self.choosing, names, percent,
                {"percent": percent, "subset": labels, "seed": 0, "rate": rate},
            )
            for rate in (self.settings.tuned_rates if self.settings.tuned_steps else ())
            for labels, names in enumerate(self._subsets_to_choose)
        ]  # fmt: skip

    def _tuned_unit(
        self, name: str, arm: str, number: int, paths: Workspace, names: Sequence[str],
        percent: float, place: dict[str, Any],
    ) -> Unit:  # fmt: skip
        from stages.training.study.cells import Tuned

        out = self.choices.paths.study / "runs" / name.replace("/", "-")
        settings = self._settings_on(names, percent, place["rate"], number)
        told = {
            "start": self._told_apart(arm, number),
            "scans": scan_inputs(self._listed(paths), settings.splits, settings.scenes),
            "settings": settings.model_dump(mode="json", exclude={"scenes"}),
        }
        job = Tuned(self._source(arm, number), paths.scans(SCANS), settings, out)
        return Unit(
            name, fingerprint(told), job, 1,
            {"arm": arm, "pre_training": number, "scans": len(names), **place}, leaves=out,
        )  # fmt: skip

    def _settings_on(
        self, names: Sequence[str], percent: float, rate: float, seed: int
    ) -> "SegmentationConfig":
        """Fine-tuning on some scans for a budget's steps."""
        settings = self._segmentation
        batch = min(settings.training.batch, len(names))
        epochs = max(1, round(self.settings.tuned_steps[percent] / (len(names) // batch)))
        training = settings.training.model_copy(
            update={"batch": batch, "epochs": epochs, "lr": rate, "seed": seed, "warmup_epochs": WARM_UP * epochs}
        )  # fmt: skip
        return settings.model_copy(update={"scenes": self._written(names), "training": training})

    def _written(self, names: Sequence[str]) -> Path:
        """A file that lists some scans, under a name of its contents."""
        path = self.choices.paths.study / "subsets" / f"{fingerprint(list(names))}.txt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name}\n" for name in names))
        return path

    def _chosen(self, units: Sequence[Unit]) -> float:
        """The rate whose cells have the largest mean, of equal ones the smallest."""
        found = defaultdict(list)
        for unit in units:
            for cell in self.cells_of(unit):
                found[cell["rate"]].append(cell["measures"]["miou"])
        if not found:
            raise CardError(f"{self.results}: no learning rate was chosen for {units[0].name}")
        return max(sorted(found), key=lambda rate: sum(found[rate]) / len(found[rate]))


NUMBERS = ("measures", "bars", "by_class")
