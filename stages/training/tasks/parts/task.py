"""Part segmentation of ShapeNetPart.

Protocol of Point-MAE (segmentation/ @ 7445a68): 2048 points drawn with replacement, in the test too, so
its scores change with the draw; here the test is drawn five times, seeded, and averaged. Its
training loop applies each gradient twice, once before clipping; this one does not.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cache.objects import Objects
from cache.scene_group import Listing
from stages.geometry.cloud_input import object_input
from stages.geometry.normalise import normalise
from stages.loop.random_numbers import Draws, plain_draws, seed_of
from stages.loop.task import Task, Terms
from stages.training.networks.part_segmenter import PartSegmenter
from stages.training.networks.rivals import build_rival, penalty
from stages.training.networks.shapes import PartSegmenterShape, RivalShape
from stages.training.tasks.downstream import Downstream, frozen_modules, rate_of, start
from stages.training.tasks.kinds import Measure, Work
from stages.training.tasks.parts.config import PartsConfig
from stages.training.tasks.parts.scores import part_scores, restrict
from stages.training.tasks.shapes import Shapes, load_shapes, shape_inputs
from stages.training.tasks.votes import vote_over_points
from stages.training.weights.first_weights import Initial

ROWS_AT_A_TIME = 16
SHOWN = 12  # shapes that a figure shows


def scale_and_shift(
    points: Tensor, draws: Draws, scale: tuple[float, float], shift: float
) -> Tensor:
    """Scale each cloud (B, N, 3) by one factor, then shift it (Point-MAE's segmentation/provider)."""
    uniform = draws.uniform(1, 4)
    low, high = scale
    return points * (low + (high - low) * uniform[..., :1]) + shift * (2 * uniform[..., 1:] - 1)


def inputs(config: PartsConfig, store: Listing) -> dict[str, str]:
    """Fingerprints of the first split that is learned from, and of the test."""
    return shape_inputs(store, {"train": config.splits[0], "test": "test"})


def _read(store: Listing, splits: tuple[str, ...], device: torch.device) -> tuple[Shapes, Objects]:
    shapes, found = load_shapes(store, splits, device)
    if not found.parts or shapes.part is None:
        raise ValueError(f"{store.path}: its shapes have no parts")
    return shapes, found


def measure(config: PartsConfig, store: Listing, device: torch.device) -> Measure:
    """Read the test shapes, to measure a network on them."""
    test, found = _read(store, ("test",), device)
    return lambda model: _finish(model, config, test, found)


def build(
    config: PartsConfig, store: Listing, initial: Initial, device: torch.device
) -> Downstream:
    """Read the shapes and make the task."""
    train, found = _read(store, config.splits, device)
    test, _ = _read(store, ("test",), device)
    torch.manual_seed(config.training.seed)
    model, about, depth = _model(config, len(found.classes), found.parts, initial)
    matched = start(model, initial, config)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        points, part = train.any(rows, config.num_points, draws)
        points = scale_and_shift(points, draws, config.scale, config.shift)
        logits = model(points, train.label[rows.to(train.label.device)])
        accuracy = (logits.argmax(dim=-1) == part).float().mean()
        loss = F.cross_entropy(logits.float().flatten(0, 1), part.flatten()) + penalty(model)
        return Terms(loss, {"accuracy": accuracy})

    def evaluate(model: nn.Module) -> dict[str, float]:
        logits, target, _ = predict(model, test, config.num_points, draw=0)
        scores = part_scores(logits, target, test.label, found.parts, found.classes)
        return {f"val_{name}": value for name, value in scores.items() if "/" not in name}

    task = Task(
        model=model,
        about={
            **about,
            "input": object_input(config.num_points).model_dump(mode="json"),
            "classes": list(found.classes),
            "parts": [[own.start, own.stop] for own in found.parts],
        },
        num_rows=len(train),
        losses=losses,
        inputs=lambda rows: {"first": train.first(rows, config.num_points)},
        evaluate=evaluate,
        headline="val_instance_miou",
        larger_is_better=True,
        frozen=frozen_modules(config.frozen_layers, depth),
        rate_of=rate_of(config.layer_decay, depth),
    )
    return Downstream(task, matched, lambda model: _finish(model, config, test, found))


def _finish(model: nn.Module, config: PartsConfig, test: Shapes, found: Objects) -> dict[str, Any]:
    """Scores averaged over draws, by category too, and shapes to show."""
    draws = []
    for draw in range(config.test_draws):
        logits, target, points = predict(model, test, config.num_points, draw)
        draws.append(part_scores(logits, target, test.label, found.parts, found.classes))
    means = {name: sum(d[name] for d in draws) / len(draws) for name in draws[0]}
    return {
        **{f"val_{name}": value for name, value in means.items() if "/" not in name},
        "categories": {n.split("/")[1]: v for n, v in means.items() if "/" in n},
        "test_draws": len(draws),
        "shapes": _shown(points, logits, target, test, found),
    }


def _model(
    config: PartsConfig, num_categories: int, parts: tuple[range, ...], initial: Initial
) -> tuple[nn.Module, dict[str, Any], int]:
    num_parts = max(own.stop for own in parts)
    if config.model != "transformer":
        rival = RivalShape(
            kind=config.model, task="parts", num_outputs=num_parts, num_categories=num_categories
        )
        return build_rival(rival), {"kind": "rival", "shape": rival.model_dump(mode="json")}, 0
    shape = PartSegmenterShape(
        encoder=initial.shape(config.encoder),
        num_categories=num_categories,
        num_parts=num_parts,
        head_width=config.head_width,
    )
    about = {"kind": "part segmenter", "shape": shape.model_dump(mode="json")}
    return PartSegmenter(shape), about, shape.encoder.depth


def predict(
    model: nn.Module, shapes: Shapes, num_points: int, draw: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, n, P), true parts (N, n) and points (N, n, 3) of one seeded draw of the test."""
    logits, parts, clouds = [], [], []
    for rows in torch.arange(len(shapes)).split(ROWS_AT_A_TIME):
        draws = plain_draws(seed_of(draw, "test", int(rows[0])), len(rows), shapes.points.device)
        points, part = shapes.any(rows, num_points, draws)
        logits.append(model(points, shapes.label[rows.to(shapes.label.device)]).float())
        parts.append(part)
        clouds.append(points)
    return torch.cat(logits), torch.cat(parts), torch.cat(clouds)


def _shown(
    points: Tensor, logits: Tensor, target: Tensor, test: Shapes, found: Objects
) -> dict[str, Any]:
    """Some shapes of as many categories as there are, for a figure: plain lists."""
    chosen: list[int] = []
    seen: set[int] = set()
    for row, category in enumerate(test.label.tolist()):
        if category not in seen and len(chosen) < SHOWN:
            chosen.append(row)
            seen.add(category)
    rows = torch.tensor(chosen, device=test.label.device)
    predicted = restrict(logits[rows], test.label[rows], found.parts)
    return {
        "category": [found.classes[category] for category in test.label[rows].tolist()],
        "points": (points[rows] * 1000).round().int().tolist(),  # thousandths of the radius
        "true": target[rows].tolist(),
        "predicted": predicted.tolist(),
    }


def _of_cloud(
    model: nn.Module,
    config: PartsConfig,
    about: Mapping[str, Any],
    cloud: Tensor,
    category: str | None,
) -> dict[str, Any]:
    """`part` (P,) of each point, among those of the category, numbered over all categories."""
    classes, parts = about["classes"], [range(*bounds) for bounds in about["parts"]]
    if category not in classes:
        raise ValueError(f"name the object's category, of {', '.join(classes)}; found {category!r}")
    label = torch.tensor([classes.index(category)], device=cloud.device)
    points = normalise(cloud[None], "unit_sphere")[0]
    votes = vote_over_points(
        lambda clouds: model(clouds, label.expand(len(clouds))), points, config.num_points,
        config.test_draws, max(own.stop for own in parts), seed=0,
    )  # fmt: skip
    part = restrict(votes[None], label, parts)[0]
    return {"part": part, "category": category, "parts": parts[int(label)]}


WORK = Work(inputs, measure, build, _of_cloud)
