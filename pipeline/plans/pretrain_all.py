"""Every variant pre-trained in turn, each with its frozen probe, as lines of results.

All of them see the same data, points, patches, epochs, rate, augmentation and draws: those of the configuration
that is given; only what a variant's file says differs.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cache.results import append_cell, read_cells
from cache.scene_group import Listing
from pipeline.choices import Choices
from pipeline.plans.plan import Step
from pipeline.probes import SCANS, probe_scans
from pipeline.variants import Variant
from pipeline.words import print_training

if TYPE_CHECKING:
    import torch

    from stages.loop.loop import Outcome
    from stages.training.pretraining.config import PretrainConfig

STUDY = "variants"
OURS = Variant("ours", "nothing: the configuration as it is", "the paper's method")


@dataclass
class Variants:
    """What all are run with; `outcome` is the training's that was last, if it was stopped."""

    choices: Choices
    results: Path
    device: "torch.device"
    seeds: int
    patient: bool
    outcome: "Outcome | None" = None
    _listings: dict[Path, Listing] = field(default_factory=dict)

    def step(self, variant: Variant) -> Step:
        """A variant's pre-training and probe."""
        choices = self.choices_of(variant)
        settings = self._settings(choices)
        why = self._why_not(settings)
        fingerprint = "" if why else self._fingerprint(settings)

        def is_done() -> bool:
            cell = read_cells(self.results, STUDY).get(variant.name, {})
            is_probed = cell.get("probe") or not self.choices.paths.scans(SCANS).is_dir()
            return bool(fingerprint and is_probed) and cell.get("fingerprint") == fingerprint

        return Step(
            variant.name, is_done, lambda: self._run(variant, choices, settings, fingerprint), why
        )

    def choices_of(self, variant: Variant) -> Choices:
        """The configuration with a variant's values over it."""
        own = self.choices.config if variant is OURS else variant.over(self.choices.config)
        return Choices(own, self.choices.overrides, self.choices.paths)

    def _settings(self, choices: Choices) -> "PretrainConfig":
        from stages.training.pretraining.config import PretrainConfig

        return choices.section("pretrain", PretrainConfig)

    def _store(self, settings: "PretrainConfig") -> Path | None:
        return self.choices.paths.prefixes(settings.teacher) if settings.teacher else None

    def _listed(self, store: Path) -> Listing:
        """A store, listed once for all variants."""
        if store not in self._listings:
            self._listings[store] = Listing.read(store)
        return self._listings[store]

    def _why_not(self, settings: "PretrainConfig") -> str:
        """What of its teacher's store is missing, nothing if it can be run."""
        store = self._store(settings)
        if store is None:
            return ""
        if not store.is_dir():
            return f"{store}: not there; run teacher-cache for it"

        from cache.prefixes import identity_of

        there = {"prefix", *identity_of(self._listed(store))["identity"].get("arrays", ())}
        missing = [name for name in settings.objective.arrays if name not in there]
        if missing:
            wanted = ", ".join(sorted({"clip", "patches"} & {*there, *missing}))
            return (
                f"{store} has no {' and '.join(missing)}; run teacher-cache --overwrite with --set "
                f'"teacher.arrays=[{wanted}]"'
            )
        return ""

    def _fingerprint(self, settings: "PretrainConfig") -> str:
        from stages.training.pretraining.pretrain import card_of

        store = self._store(settings)
        points, teacher = self.choices.paths.points, self._listed(store) if store else None
        return card_of(settings, self._listed(points), teacher).fingerprint

    def _run(
        self, variant: Variant, choices: Choices, settings: "PretrainConfig", fingerprint: str
    ) -> bool:
        from cache.runs import probe_file
        from stages.training.pretraining import pretrain as stage

        paths = choices.paths
        out = paths.pretrained(settings.name)
        self.outcome = stage.run(
            settings, frames=paths.frames, points=paths.points, store=self._store(settings), out=out,
            device=self.device, patient=self.patient, say=typer.echo,
        )  # fmt: skip
        print_training("pretrain", self.outcome, out)
        if self.outcome and not self.outcome.finished:
            return False
        probed = probe_file(out, SCANS)
        if paths.scans(SCANS).is_dir() and not probed.exists():
            probe_scans(out, SCANS, str(self.device), self.seeds, choices)
        append_cell(self.results, self._cell(variant, choices, fingerprint, out))
        return True

    def _cell(
        self, variant: Variant, choices: Choices, fingerprint: str, out: Path
    ) -> dict[str, Any]:
        from cache.runs import probe_file, read_result

        result = read_result(out) or {}
        probed = probe_file(out, SCANS)
        own = {k: v for k, v in result["last"].items() if k.startswith(("val_", "chance_"))}
        probe = json.loads(probed.read_bytes()) if probed.exists() else None
        return {
            "study": STUDY,
            "cell": variant.name,
            "fingerprint": fingerprint,
            "command": f"distill3d pretrain-all -c {self.choices.config} --only {variant.name}",
            "config": choices.config,
            "pre_trainings": 1,
            "measures": own,
            "bars": result.get("bars", {}),
            "probe": probe,
        }
