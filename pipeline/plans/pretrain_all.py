"""Every variant pre-trained in turn, each with its frozen probe, as lines of results.

All of them see the same data, points, patches, epochs, rate, augmentation and draws: those of the configuration
that is given; only what a variant's file says differs.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cache.results import append_cell, read_cells
from pipeline.choices import Choices
from pipeline.plans.arms import Arms
from pipeline.plans.plan import Step
from pipeline.probes import SCANS, probe_scans
from pipeline.words import print_training

if TYPE_CHECKING:
    import torch

    from stages.loop.loop import Outcome
    from stages.training.pretraining.config import PretrainConfig

STUDY = "variants"


@dataclass
class Variants:
    """What all are run with; `outcome` is the training's that was last, if it was stopped."""

    choices: Choices
    results: Path
    device: "torch.device"
    seeds: int
    patient: bool
    outcome: "Outcome | None" = None

    def __post_init__(self) -> None:
        """Know the arms."""
        self.arms = Arms(self.choices)

    def step(self, name: str) -> Step:
        """A variant's pre-training and probe."""
        settings, why = self.arms.settings(name), self.arms.why_not(name)
        fingerprint = "" if why else self.arms.fingerprint(name)

        def is_done() -> bool:
            cell = read_cells(self.results, STUDY).get(name, {})
            is_probed = cell.get("probe") or not self.choices.paths.scans(SCANS).is_dir()
            return bool(fingerprint and is_probed) and cell.get("fingerprint") == fingerprint

        return Step(name, is_done, lambda: self._run(name, settings, fingerprint), why)

    def _run(self, name: str, settings: "PretrainConfig", fingerprint: str) -> bool:
        from cache.runs import probe_file
        from stages.training.pretraining import pretrain as stage

        choices = self.arms.choices_of(name)
        paths = choices.paths
        out = paths.pretrained(settings.name)
        self.outcome = stage.run(
            settings, frames=paths.frames, points=paths.points, store=self.arms.store(settings), out=out,
            device=self.device, patient=self.patient, say=typer.echo,
        )  # fmt: skip
        print_training("pretrain", self.outcome, out)
        if self.outcome and not self.outcome.finished:
            return False
        probed = probe_file(out, SCANS)
        if paths.scans(SCANS).is_dir() and not probed.exists():
            probe_scans(out, SCANS, str(self.device), self.seeds, choices)
        append_cell(self.results, self._cell(name, choices, fingerprint, out))
        return True

    def _cell(self, name: str, choices: Choices, fingerprint: str, out: Path) -> dict[str, Any]:
        from cache.runs import probe_file, read_result

        result = read_result(out) or {}
        probed = probe_file(out, SCANS)
        own = {k: v for k, v in result["last"].items() if k.startswith(("val_", "chance_"))}
        probe = json.loads(probed.read_bytes()) if probed.exists() else None
        return {
            "study": STUDY,
            "cell": name,
            "fingerprint": fingerprint,
            "command": f"distill3d pretrain-all -c {self.choices.config} --only {name}",
            "config": choices.config,
            "pre_trainings": 1,
            "measures": own,
            "bars": result.get("bars", {}),
            "probe": probe,
        }
