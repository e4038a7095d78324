"""Pre-training: the student learns the cached prefixes from the points alone.

One step of it: stored points in metres, turned or cut as asked, 4096 drawn, normalised, scaled and
shifted; the prediction beside the teacher's prefix.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cache.card import Card, fingerprint
from cache.prefixes import identity_of
from cache.runs import RunFolder
from cache.scene_group import Listing
from stages.geometry.cloud_input import CloudInput
from stages.loop.cost import ask_for_patience
from stages.loop.loop import Outcome, train
from stages.loop.processes import Processes, joined
from stages.loop.random_numbers import Draws
from stages.loop.task import Task, Terms
from stages.training.networks.shapes import StudentShape
from stages.training.networks.student import Student
from stages.training.pretraining.clouds import Sources, load_clouds
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.objectives.prefix import (
    distillation_loss,
)
from stages.training.pretraining.upright import warn_if_not_level
from stages.training.pretraining.validation import Validation, loss_target

KIND, SCHEMA_VERSION = "pre-training", 2


def run(
    config: PretrainConfig,
    *,
    frames: Path,
    points: Path,
    store: Path,
    out: Path,
    device: torch.device,
    overwrite: bool = False,
    stop_after_epoch: int | None = None,
    patient: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome | None:
    """Pre-train a student in the folder `out`; None if it was finished there before.

    Goes on where a stopped run stands. Under torchrun all processes share each batch. Raises
    CardError if frames, points and prefixes do not belong together, and ValueError if it would take
    longer than half a day on a CPU and `patient` is false. `say` is told what looks wrong in the data.
    """
    sources = Sources(frames, Listing.read(points), Listing.read(store), device)
    inputs = {
        "points": _inputs(sources.points, config),
        "teacher": fingerprint(identity_of(sources.prefixes)),
    }
    card = Card(KIND, SCHEMA_VERSION, config.model_dump(mode="json"), inputs)
    folder = RunFolder(out, card, overwrite=overwrite)
    with joined(device) as processes, folder.opened(processes):
        if folder.is_finished:
            return None
        if config.loss == "infonce" and processes.count * config.training.accumulate > 1:
            raise ValueError(
                "pretrain.loss = infonce tells each cloud from all others of the batch, so the batch "
                "cannot be split: use one process, and pretrain.training.accumulate=1"
            )
        quiet = not processes.is_first
        task, held = _task(config, sources, (lambda _: None) if quiet else say)
        if not patient:
            ask_for_patience(task, config.training, device)
        outcome = train(
            task,
            config.training,
            folder,
            device=device,
            processes=processes,
            stop_after_epoch=stop_after_epoch,
        )
        if outcome.finished and processes.is_first:
            bars = held.bars() if held else {}
            _write_result(folder, outcome, bars, processes)
    return outcome


def _task(
    config: PretrainConfig, sources: Sources, say: Callable[[str], None]
) -> tuple[Task, Validation | None]:
    clouds = load_clouds(
        config, config.splits, sources, what="training pairs",
        instead='; or learn from others: --set "pretrain.splits=[SPLIT]"',
    )  # fmt: skip
    if clouds.views and config.frame == "gravity":
        warn_if_not_level(clouds.pairs, clouds.views.camera_to_world, config.up, say)
    statistics = clouds.pairs.target_statistics()
    held: Validation | None = None
    if config.held_splits:
        others = load_clouds(
            config, config.held_splits, sources, what="held pairs",
            instead='; or validate on none: --set "pretrain.held_splits=[]"',
        )  # fmt: skip
        held = Validation(config, clouds, others, statistics)
    length, width = clouds.pairs.targets.shape[1:]
    shape = StudentShape(
        encoder=config.encoder,
        target=(length, width),
        num_concepts=config.num_concepts,
        head=config.head,
    )
    torch.manual_seed(config.training.seed)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        target = loss_target(config, clouds.pairs.target(rows), statistics)
        prediction, patches = model(clouds.augmented(rows, draws))
        loss = distillation_loss(prediction, target, config.loss)
        return Terms(loss, {"patch_coverage": patches.coverage(config.num_points).mean()})

    model = Student(shape)
    if config.target_norm == "standardize":
        model.target_mean.copy_(statistics.mean)
        model.target_std.copy_(statistics.std)
    task = Task(
        model=model,
        about={
            "kind": "student",
            "shape": shape.model_dump(mode="json"),
            "input": CloudInput(
                num_points=config.num_points, normalisation=config.norm_input, frame=config.frame
            ).model_dump(mode="json"),
        },
        num_rows=len(clouds.pairs),
        losses=losses,
        inputs=lambda rows: {
            "points": clouds.pairs.metres(rows),
            "target": clouds.pairs.target(rows),
        },
        evaluate=held.evaluate if held else None,
        headline="val_loss",
        larger_is_better=False,
    )
    return task, held


def _inputs(points: Listing, config: PretrainConfig) -> str:
    """A fingerprint of all scenes that are read."""
    splits = {*config.splits, *config.held_splits}
    return fingerprint(
        {
            scene_id: member.card.fingerprint
            for scene_id, member in points.members.items()
            if member.card.inputs["split"] in splits
        }
    )


def _write_result(
    folder: RunFolder, outcome: Outcome, bars: dict[str, float], processes: Processes
) -> None:
    result: dict[str, Any] = {
        "run": folder.card.to_dict(),
        "last": outcome.metrics,
        "best": outcome.best,
        "bars": bars,
        "processes": processes.count,
    }
    folder.write_result(result)
