"""Semantic segmentation on ScanNet: 8192 points of a scene, 20 classes (the paper's section 4.2.2)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cache.scene_group import Listing
from stages.geometry.cloud_input import scene_input
from stages.loop.processes import mean_over_processes
from stages.loop.random_numbers import Draws, plain_draws, seed_of
from stages.loop.task import Task, Terms
from stages.training.networks.rivals import build_rival
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import RivalShape, SegmenterShape
from stages.training.tasks.downstream import Downstream, frozen_modules, rate_of, start
from stages.training.tasks.kinds import Measure, Work
from stages.training.tasks.scans import HELD, scan_inputs
from stages.training.tasks.segmentation.config import SegmentationConfig
from stages.training.tasks.segmentation.labelled_points import list_fingerprint
from stages.training.tasks.segmentation.scenes import Scenes, augmented, load_scenes
from stages.training.tasks.segmentation.scores import (
    UNLABELLED,
    by_class,
    confusion,
    no_counts,
    scores_of,
)
from stages.training.tasks.votes import vote_over_points
from stages.training.weights.first_weights import Initial

ROWS_AT_A_TIME = 8
SHOWN, SHOWN_POINTS = 3, 10_000


def inputs(config: SegmentationConfig, store: Listing) -> dict[str, str]:
    """Fingerprints of the scenes that are learned from, and judged on, and of a list of points."""
    found = scan_inputs(store, config.splits, config.scenes)
    if config.points:
        found["points"] = list_fingerprint(config.points)
    return found


def measure(config: SegmentationConfig, store: Listing, device: torch.device) -> Measure:
    """Read the held scenes, to measure a network on them."""
    held = load_scenes(store, (HELD,), device)
    return lambda model: finish(model, config, held)


def build(
    config: SegmentationConfig, store: Listing, initial: Initial, device: torch.device
) -> Downstream:
    """Read the scenes and make the task."""
    train = load_scenes(store, config.splits, device, only=config.scenes, points=config.points)
    test = load_scenes(store, (HELD,), device)
    torch.manual_seed(config.training.seed)
    model, about, depth = _model(config, len(train.classes), initial)
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
        about={
            **about,
            "input": scene_input(config.num_points).model_dump(mode="json"),
            "classes": list(train.classes.names),
        },
        num_rows=len(train),
        losses=losses,
        inputs=lambda rows: {"first_vertices": first_vertices(train, rows)},
        evaluate=evaluate,
        headline="val_miou",
        larger_is_better=True,
        frozen=frozen_modules(config.frozen_layers, depth),
        rate_of=rate_of(config.layer_decay, depth),
    )
    return Downstream(task, matched, lambda model: finish(model, config, test))


def _model(
    config: SegmentationConfig, num_classes: int, initial: Initial
) -> tuple[nn.Module, dict[str, Any], int]:
    if config.model != "transformer":
        rival = RivalShape(kind=config.model, task="segmentation", num_outputs=num_classes)
        return build_rival(rival), {"kind": "rival", "shape": rival.model_dump(mode="json")}, 0
    shape = SegmenterShape(
        encoder=initial.shape(config.encoder),
        norm_input=config.norm_input,
        num_classes=num_classes,
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
    """The confusion (K, K + 1) over one seeded draw of each scene's points."""
    counts = no_counts(len(scenes.classes))
    for rows in torch.arange(len(scenes)).split(ROWS_AT_A_TIME):
        draws = plain_draws(seed_of(draw, "test", int(rows[0])), len(rows), scenes.vertices.device)
        points, label = scenes.draw(rows, num_points, draws)
        counts += confusion(label, model(points).argmax(dim=-1), len(scenes.classes)).cpu()
    return counts


def finish(model: nn.Module, config: SegmentationConfig, test: Scenes) -> dict[str, Any]:
    """Scores on sampled points, averaged over draws, and on every vertex; scenes to show."""
    names = test.classes.names
    draws = [of_samples(model, test, config.num_points, draw) for draw in range(config.test_draws)]
    scores = [scores_of(counts) for counts in draws]
    whole, shown = of_vertices(model, test, config.num_points, config.vote_rounds)
    means = {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]}
    return {
        **{f"val_{name}": value for name, value in means.items()},
        **{f"val_vertices_{name}": value for name, value in scores_of(whole).items()},
        "by_class": {"points": _mean_by_class(draws, names), "vertices": by_class(whole, names)},
        "confusion_of_vertices": whole.tolist(),
        "classes": list(names),
        "test_draws": len(draws),
        "vote_rounds": config.vote_rounds,
        "scenes": shown,
    }


def of_vertices(
    model: nn.Module, scenes: Scenes, num_points: int, rounds: int
) -> tuple[Tensor, list[dict[str, Any]]]:
    """The confusion (K, K + 1) over every vertex, by votes, and some scenes to show."""
    counts = no_counts(len(scenes.classes))
    shown: list[dict[str, Any]] = []
    for row, name in enumerate(scenes.names):
        part = scenes.part(row)
        vertices, label = scenes.vertices[part], scenes.label[part]
        votes = vote_over_points(model, vertices, num_points, rounds, len(scenes.classes), seed=row)
        predicted = votes.argmax(dim=-1)
        counts += confusion(label, predicted, len(scenes.classes)).cpu()
        if row < SHOWN:
            shown.append(_shown(name, vertices, label, predicted))
    return counts, shown


def _mean_by_class(draws: list[Tensor], names: tuple[str, ...]) -> dict[str, float]:
    found = [by_class(counts, names) for counts in draws]
    there = {name: [scores[name] for scores in found if name in scores] for name in names}
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


def _of_cloud(
    model: nn.Module,
    config: SegmentationConfig,
    about: Mapping[str, Any],
    cloud: Tensor,
    category: str | None,
) -> dict[str, Any]:
    """`class` (P,) of each point, the number of one of `classes`; `probability` (P, K)."""
    classes = tuple(about["classes"])
    votes = vote_over_points(
        model, cloud, config.num_points, config.vote_rounds, len(classes), seed=0
    )
    probability = votes / votes.sum(dim=-1, keepdim=True)
    return {"class": votes.argmax(dim=-1), "probability": probability, "classes": classes}


WORK = Work(inputs, measure, build, _of_cloud)
