"""Which units the study has, in phases: starts, rates, frozen features, fine-tunings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cache.card import fingerprint
from cache.frame_labels import frame_labels_card
from cache.scene_group import Listing
from cache.workspace import Workspace
from pipeline.choices import Choices, need_scans
from pipeline.plans.arms import Arms
from pipeline.plans.study.lines import (
    CHOOSE_FROZEN,
    CHOOSE_TUNED,
    FROZEN,
    PRETRAIN,
    TUNED,
    VIEWS,
    Lines,
    Unit,
)
from pipeline.probes import SCANS
from stages.settings import ConfigError
from stages.training.study.settings import OURS, SCRATCH, StudyConfig
from stages.training.study.subsets import count_of, official, subset
from stages.training.tasks.scans import annotated, scan_inputs

if TYPE_CHECKING:
    from stages.training.tasks.segmentation.config import SegmentationConfig

WARM_UP = 0.1  # of a fine-tuning's steps

Subsets = dict[float, list[list[str]]]


@dataclass
class Units:
    """All units of a study; those that need a learning rate read from the lines which was chosen."""

    choices: Choices
    settings: StudyConfig
    lines: Lines
    _listings: dict[Path, Listing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know the arms."""
        self.arms = Arms(self.choices)

    def phases(self) -> Iterator[tuple[str, list[Unit]]]:
        """Titles and units, each phase after those before it have been run."""
        yield (
            "pre-trainings",
            [self._pretraining(arm, n) for arm, n in self._starts() if arm != SCRATCH],
        )
        if self.choices.paths.frame_labels.is_file():
            yield "objects in view", [self._views(arm, number) for arm, number in self._starts()]
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

    def _views(self, arm: str, number: int) -> Unit:
        from stages.training.study.cells import Views

        paths = self.choices.paths
        settings = self.arms.settings(OURS if arm == SCRATCH else arm, number)
        labels = frame_labels_card(paths.frame_labels)
        told = {
            "start": self._told_apart(arm, number),
            "frames": self.arms.fingerprint(OURS),
            "labels": labels.fingerprint if labels else "",
        }
        job = Views(
            self._source(arm, number), number, settings, paths.frames, paths.points,
            paths.frame_labels,
        )  # fmt: skip
        place = {"arm": arm, "pre_training": number}
        return Unit(f"{VIEWS}/{arm}/{number}", fingerprint(told), job, 1, place)

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
        rate = self.lines.chosen_rate([self._choose_frozen(arm)])
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
            rate = self.lines.chosen_rate(self._choose_tuned(arm))
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
