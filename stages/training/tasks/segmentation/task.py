"""Semantic segmentation on ScanNet: 8192 points of a scene, 20 classes (the paper's section 4.2.2)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cache.card import fingerprint
from cache.scannet_classes import CLASSES
from stages.geometry.cloud_input import scene_input
from stages.loop.processes import mean_over_processes
from stages.loop.random_numbers import Draws, plain_draws, seed_of
from stages.loop.task import Task, Terms
from stages.training.networks.rivals import build_rival
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import RivalShape, SegmenterShape
from stages.training.tasks.downstream import Downstream, frozen_modules, rate_of, start
from stages.training.tasks.segmentation.config import SegmentationConfig
from stages.training.tasks.segmentation.scenes import Scenes, augmented, load_scenes
from stages.training.tasks.segmentation.scores import (
    NUM_CLASSES,
    UNLABELLED,
    by_class,
    confusion,
    scores_of,
)
from stages.training.tasks.segmentation.votes import vote
from stages.training.weights.first_weights import Initial

ROWS_AT_A_TIME = 8
SHOWN, SHOWN_POINTS = 3, 10_000


def build(
    config: SegmentationConfig, store: Path, initial: Initial, device: torch.device
) -> Downstream:
    """Read the scenes and make the task."""
    train = load_scenes(store, config.splits, device)
    test = load_scenes(store, ("val",), device)
    torch.manual_seed(config.training.seed)
    model, about, depth = _model(config, initial)
    matched = start(model, initial, config)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        points, label = train.draw(rows, config.num_points, draws)
        if config.augment:
            points = augmented(points, draws, config.scale)
        logits, label = model(points).float(), label.long()
        labelled = label != UNLABELLED
        # The mean over the labelled points of all processes; of each micro-batch by itself.
        count = mean_over_processes(labelled.sum().float()).clamp(min=1)
        loss = F.cross_entropy(
            logits.flatten(0, 1), label.flatten(), ignore_index=UNLABELLED, reduction="sum"
        )
        right = ((logits.argmax(dim=-1) == label) & labelled).sum() / labelled.sum().clamp(min=1)
        return Terms(loss / count, {"accuracy": right})

    def evaluate(model: nn.Module) -> dict[str, float]:
        counts = of_samples(model, test, config.num_points, draw=0)
        return {f"val_{name}": value for name, value in scores_of(counts).items()}

    task = Task(
        model=model,
        about={**about, "input": scene_input(config.num_points).model_dump(mode="json")},
        num_rows=len(train),
        losses=losses,
        inputs=lambda rows: {"first_vertices": first_vertices(train, rows)},
        evaluate=evaluate,
        headline="val_miou",
        larger_is_better=True,
        frozen=frozen_modules(config.frozen_layers, depth),
        rate_of=rate_of(config.layer_decay, depth),
    )
    inputs = {
        "train": fingerprint(list(train.fingerprints)),
        "val": fingerprint(list(test.fingerprints)),
    }
    return Downstream(task, matched, lambda model: finish(model, config, test), inputs)


def _model(config: SegmentationConfig, initial: Initial) -> tuple[nn.Module, dict[str, Any], int]:
    if config.model != "transformer":
        rival = RivalShape(kind=config.model, task="segmentation", num_outputs=NUM_CLASSES)
        return build_rival(rival), {"kind": "rival", "shape": rival.model_dump(mode="json")}, 0
    shape = SegmenterShape(
        encoder=initial.shape(config.encoder),
        norm_input=config.norm_input,
        num_classes=NUM_CLASSES,
        widths=config.head_widths,
        dropout=config.dropout,
    )
    about = {"kind": "scene segmenter", "shape": shape.model_dump(mode="json")}
    return SceneSegmenter(shape), about, shape.encoder.depth


def first_vertices(scenes: Scenes, rows: Tensor) -> Tensor:
    """The first vertex (B, 3) of some scenes, by which a saved batch tells which they are."""
    return scenes.vertices[scenes.start[rows.cpu()].to(scenes.vertices.device)]


@torch.no_grad()
def of_samples(model: nn.Module, scenes: Scenes, num_points: int, draw: int) -> Tensor:
    """The confusion (20, 21) over one seeded draw of each scene's points."""
    counts = torch.zeros(NUM_CLASSES, NUM_CLASSES + 1, dtype=torch.long)
    for rows in torch.arange(len(scenes)).split(ROWS_AT_A_TIME):
        draws = plain_draws(seed_of(draw, "test", int(rows[0])), len(rows), scenes.vertices.device)
        points, label = scenes.draw(rows, num_points, draws)
        counts += confusion(label, model(points).argmax(dim=-1)).cpu()
    return counts


def finish(model: nn.Module, config: SegmentationConfig, test: Scenes) -> dict[str, Any]:
    """Scores on sampled points, averaged over draws, and on every vertex; scenes to show."""
    draws = [of_samples(model, test, config.num_points, draw) for draw in range(config.test_draws)]
    scores = [scores_of(counts) for counts in draws]
    whole, shown = of_vertices(model, test, config.num_points, config.vote_rounds)
    means = {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]}
    return {
        **{f"val_{name}": value for name, value in means.items()},
        **{f"val_vertices_{name}": value for name, value in scores_of(whole).items()},
        "by_class": {"points": _mean_by_class(draws), "vertices": by_class(whole)},
        "confusion_of_vertices": whole.tolist(),
        "classes": list(CLASSES),
        "test_draws": len(draws),
        "vote_rounds": config.vote_rounds,
        "scenes": shown,
    }


def of_vertices(
    model: nn.Module, scenes: Scenes, num_points: int, rounds: int
) -> tuple[Tensor, list[dict[str, Any]]]:
    """The confusion (20, 21) over every vertex, by votes, and some scenes to show."""
    counts = torch.zeros(NUM_CLASSES, NUM_CLASSES + 1, dtype=torch.long)
    shown: list[dict[str, Any]] = []
    for row, name in enumerate(scenes.names):
        part = scenes.part(row)
        vertices, label = scenes.vertices[part], scenes.label[part]
        votes = vote(model, vertices, num_points, rounds, NUM_CLASSES, seed=row)
        predicted = votes.argmax(dim=-1)
        counts += confusion(label, predicted).cpu()
        if row < SHOWN:
            shown.append(_shown(name, vertices, label, predicted))
    return counts, shown


def _mean_by_class(draws: list[Tensor]) -> dict[str, float]:
    found = [by_class(counts) for counts in draws]
    there = {name: [scores[name] for scores in found if name in scores] for name in CLASSES}
    return {name: sum(values) / len(values) for name, values in there.items() if values}


def _shown(name: str, vertices: Tensor, label: Tensor, predicted: Tensor) -> dict[str, Any]:
    """Some vertices of a scene in centimetres, with both labels, as plain lists."""
    step = max(1, len(vertices) // SHOWN_POINTS)
    return {
        "scene": name,
        "points": (vertices[::step] * 100).round().int().tolist(),
        "true": label[::step].tolist(),
        "predicted": predicted[::step].tolist(),
    }
