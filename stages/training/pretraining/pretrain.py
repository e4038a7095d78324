"""Pre-training: a student learns from points alone, by the objective that is configured.

One step of it: stored points in metres, cut as asked, 4096 drawn, turned, normalised, scaled and shifted;
what the network makes of them beside the targets of the teacher, if it has any. The paper's objective is
`objectives/frames.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cache.card import Card, fingerprint
from cache.prefixes import identity_of
from cache.runs import PRETRAINING, RunFolder
from cache.scene_group import Listing
from stages.geometry.cloud_input import CloudInput
from stages.loop.cost import ask_for_patience
from stages.loop.loop import Outcome, train
from stages.loop.processes import Processes, joined
from stages.loop.random_numbers import Draws
from stages.loop.task import Task, Terms
from stages.training.pretraining.clouds import Clouds, Sources, load_clouds
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.data import Data
from stages.training.pretraining.objectives.objective import Objective
from stages.training.pretraining.objectives.table import build_objective
from stages.training.pretraining.upright import warn_if_not_level
from stages.training.pretraining.validation import Validation

SCHEMA_VERSION = 3


def run(
    config: PretrainConfig,
    *,
    frames: Path,
    points: Path,
    store: Path | None,
    out: Path,
    device: torch.device,
    overwrite: bool = False,
    stop_after_epoch: int | None = None,
    patient: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome | None:
    """Pre-train a student in the folder `out`; None if it was finished there before.

    `store` is the teacher's, None without one. Goes on where a stopped run stands. Under torchrun all processes share each batch. Raises
    CardError if frames, points and prefixes do not belong together, and ValueError if it would take
    longer than half a day on a CPU and `patient` is false. `say` is told what looks wrong in the data.
    """
    sources = Sources(frames, Listing.read(points), Listing.read(store) if store else None, device)
    card = card_of(config, sources.points, sources.teacher)
    folder = RunFolder(out, card, overwrite=overwrite)
    with joined(device) as processes, folder.opened(processes):
        if folder.is_finished:
            return None
        quiet = not processes.is_first
        task, objective = _task(config, sources, (lambda _: None) if quiet else say)
        if objective.needs_whole_batch and processes.count * config.training.accumulate > 1:
            raise ValueError(
                "pretrain.objective.loss = infonce tells each cloud from all others of the batch, so the "
                "batch cannot be split: use one process, and pretrain.training.accumulate=1"
            )
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
            bars = objective.bars() if config.held_splits else {}
            _write_result(folder, outcome, bars, processes)
    return outcome


def card_of(config: PretrainConfig, points: Listing, teacher: Listing | None) -> Card:
    """What tells a pre-training from others: its configuration, its points, its teacher."""
    inputs = {
        "points": _inputs(points, config),
        "teacher": fingerprint(identity_of(teacher)) if teacher else "none",
    }
    return Card(PRETRAINING, SCHEMA_VERSION, config.model_dump(mode="json"), inputs)


def _task(
    config: PretrainConfig, sources: Sources, say: Callable[[str], None]
) -> tuple[Task, Objective]:
    clouds, held = _load(config, sources)
    if clouds.views and config.frame == "gravity":
        warn_if_not_level(clouds.pairs, clouds.views.camera_to_world, config.up, say)
    data = Data(clouds, held, config.target_norm, config.training.batch)
    objective = build_objective(config.objective, config.encoder, data)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        batch = clouds.augmented(rows, draws)
        output = model(batch.points, **objective.extras(batch, draws))
        terms = objective.terms(output, batch)
        coverage = output.patches.coverage(config.num_points).mean()
        return Terms(terms.total, {**terms.logged, "patch_coverage": coverage})

    def inputs(rows: Tensor) -> dict[str, Tensor]:
        targets = {name: clouds.pairs.target(name, rows) for name in clouds.pairs.targets}
        return {"points": clouds.pairs.metres(rows), **targets}

    torch.manual_seed(config.training.seed)
    shown = CloudInput(
        num_points=config.num_points, normalisation=config.norm_input, frame=config.frame
    )
    task = Task(
        model=objective.network(),
        about={**objective.about(), "input": shown.model_dump(mode="json")},
        num_rows=len(clouds.pairs),
        losses=losses,
        inputs=inputs,
        evaluate=Validation(objective, held, config.training.batch).evaluate if held else None,
        headline=objective.headline,
        larger_is_better=False,
    )
    return task, objective


def _load(config: PretrainConfig, sources: Sources) -> tuple[Clouds, Clouds | None]:
    """Training clouds, whose targets are shuffled for a control, and held ones."""
    clouds = load_clouds(
        config, config.splits, sources, what="training pairs",
        instead='; or learn from others: --set "pretrain.splits=[SPLIT]"',
    )  # fmt: skip
    if config.control == "shuffled_targets":
        shuffled = clouds.pairs.with_targets_of_others(config.training.seed)
        clouds = replace(clouds, pairs=shuffled)
    held = None
    if config.held_splits:
        held = load_clouds(
            config, config.held_splits, sources, what="held pairs",
            instead='; or validate on none: --set "pretrain.held_splits=[]"',
        )  # fmt: skip
    return clouds, held


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
