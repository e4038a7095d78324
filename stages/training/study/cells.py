"""The work of the study's cells, each by itself: it can run in a process of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cache.frame_labels import read_frame_labels
from cache.runs import read_result
from cache.scannet_classes import nyu40_name
from cache.scene_group import Listing
from stages.machine.device import choose_device
from stages.machine.progress import silence
from stages.training.finetuning import finetune
from stages.training.networks.encoder import PointEncoder
from stages.training.pretraining import in_view, pretrain
from stages.training.pretraining.clouds import Sources, load_clouds
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.rebuilding import Frames
from stages.training.probing.scans import Learned, View, judged, known, learned, random_encoder
from stages.training.study.settings import SCRATCH
from stages.training.tasks.names import TaskName
from stages.training.tasks.scans import HELD
from stages.training.tasks.segmentation.config import SegmentationConfig
from stages.training.tasks.segmentation.scenes import Scenes, load_scenes
from stages.training.tasks.segmentation.scores import by_class, scores_of
from stages.training.weights.first_weights import load_initial
from stages.training.weights.frozen import load_encoder

Cells = list[dict[str, Any]]


class StoppedError(Exception):
    """A training was asked to stop by a signal, and saved; the same command goes on."""


@dataclass(frozen=True)
class Machine:
    """Where a job runs: a device, and how many threads of the CPU it takes (None: torch's own choice)."""

    device: str
    threads: int | None = None
    quiet: bool = False  # beside others: one progress is shown, that of all

    def open(self) -> torch.device:
        """The device, in this process."""
        if self.quiet:
            silence()
        if self.threads:
            torch.set_num_threads(self.threads)
        return choose_device(self.device)


@dataclass(frozen=True)
class Pretraining:
    """One pre-training of an arm."""

    settings: PretrainConfig
    frames: Path
    points: Path
    store: Path | None
    out: Path

    def run(self, machine: Machine) -> Cells:
        """What it reached on held frames. Raises StoppedError."""
        outcome = pretrain.run(
            self.settings, frames=self.frames, points=self.points, store=self.store, out=self.out,
            device=machine.open(),
        )  # fmt: skip
        if outcome and not outcome.finished:
            raise StoppedError(outcome.stopped_by or "as asked")
        result = read_result(self.out) or {}
        last = {name: value for name, value in result["last"].items() if name.startswith("val_")}
        return [{"measures": last, "bars": result.get("bars", {})}]


@dataclass(frozen=True)
class Views:
    """Which objects held frames show, read linearly from a start's feature of the whole cloud."""

    start: str
    number: int
    settings: PretrainConfig
    frames: Path
    points: Path
    labels: Path

    def run(self, machine: Machine) -> Cells:
        """One cell: the mean average precision, and of the plain numbers as its bar."""
        device = machine.open()
        sources = Sources(self.frames, Listing.read(self.points), None, device)
        shown = self.settings.without_targets()
        frames = Frames(
            *(load_clouds(shown, own, sources, what="frames") for own in (shown.splits, shown.held_splits))
        )  # fmt: skip
        truth = in_view.truth_of(frames, read_frame_labels(self.labels), self.frames)
        if self.start == SCRATCH:
            encoder = in_view.random_encoder(shown.encoder, frames.train, self.number)
        else:
            encoder = load_encoder(self.start, shown.encoder).to(device)
        found = in_view.precisions_of(encoder, frames, truth, seed=0)
        plain = in_view.plain_precisions(frames, truth)
        names = [nyu40_name(number) for number in truth.classes]
        by_class = dict(zip(names, found.tolist(), strict=True))
        bars = {"geometry": float(plain.mean()), "chance": float(truth.held.mean())}
        return [{"measures": {"map": float(found.mean())}, "bars": bars, "by_class": by_class}]


@dataclass(frozen=True)
class Frozen:
    """A linear layer on the frozen features of one start: all budgets, subsets and seeds in one pass.

    `subsets` are names of scans by budget, one list a subset. `number` is the seed of random weights.
    """

    start: str
    number: int
    store: Path
    settings: SegmentationConfig
    subsets: Mapping[float, Sequence[Sequence[str]]]
    seeds: int
    rates: Sequence[float]
    steps: int

    def run(self, machine: Machine) -> Cells:
        """A cell for each rate, budget, subset and seed."""
        device, listing = machine.open(), Listing.read(self.store)
        train = load_scenes(listing, self.settings.splits, device)
        held = load_scenes(listing, (HELD,), device)
        encoder, view = self._encoder(train)
        cells = []
        for seed in range(self.seeds):
            cells += self._of_seed(
                encoder, train, held, View(view.num_points, view.normalisation, seed)
            )
        return cells

    def _encoder(self, train: Scenes) -> tuple[PointEncoder, View]:
        shape, points = self.settings.encoder, self.settings.num_points
        if self.start == SCRATCH:
            view = View(points, self.settings.norm_input, self.number)
            return random_encoder(shape, train, view), view
        initial = load_initial(self.start)
        encoder = load_encoder(self.start, shape).to(train.vertices.device)
        return encoder, View(points, initial.normalisation or self.settings.norm_input)

    def _of_seed(self, encoder: PointEncoder, train: Scenes, held: Scenes, view: View) -> Cells:
        rows, row_of = known(encoder, train, view), {name: n for n, name in enumerate(train.names)}
        cells: Cells = []
        layers: list[Learned] = []
        for percent, subsets in self.subsets.items():
            for number, names in enumerate(subsets):
                wanted = [row_of[name] for name in names]
                for rate in self.rates:
                    layers.append(
                        learned(rows, train, view.seed, rate=rate, steps=self.steps, of=wanted)
                    )
                    cells.append(
                        {
                            "percent": percent,
                            "subset": number,
                            "seed": view.seed,
                            "rate": rate,
                            "scans": len(names),
                        }
                    )
        for cell, counts in zip(cells, judged(layers, encoder, held, view), strict=True):
            cell["measures"] = scores_of(counts)
            cell["by_class"] = by_class(counts, held.classes.names)
        return cells


@dataclass(frozen=True)
class Tuned:
    """A full fine-tuning from one start on one subset."""

    start: str
    store: Path
    settings: SegmentationConfig
    out: Path

    def run(self, machine: Machine) -> Cells:
        """One cell. Raises StoppedError."""
        finished = finetune.run(
            TaskName.SEGMENTATION, self.settings, store=self.store, init=self.start, out=self.out,
            device=machine.open(),
        )  # fmt: skip
        if finished.outcome and not finished.outcome.finished:
            raise StoppedError(finished.outcome.stopped_by or "as asked")
        final = (read_result(finished.folder) or {})["final"]
        measures = {"miou": final["val_miou"], "accuracy": final["val_accuracy"]}
        cell = {
            "measures": {**measures, "vertices_miou": final["val_vertices_miou"]},
            "by_class": final["by_class"]["points"],
        }
        return [cell]


Job = Pretraining | Views | Frozen | Tuned


@dataclass(frozen=True)
class Placed:
    """A job under its unit's name, and where it runs."""

    unit: str
    job: Job
    machine: Machine


@dataclass(frozen=True)
class Done:
    """The cells of a job, and how long it took; or by which signal it was stopped."""

    cells: Cells
    seconds: float
    stopped_by: str | None = None


def do(placed: Placed, advance: Callable[[int], None]) -> Done:
    """Run a job, in whichever process."""
    began = time.monotonic()
    try:
        cells = placed.job.run(placed.machine)
    except StoppedError as stopped:
        return Done([], 0.0, str(stopped))
    advance(1)
    return Done(cells, round(time.monotonic() - began, 1))
