"""Classification of shapes: ModelNet40, and ScanObjectNN.

Protocol of Point-MAE (tools/runner_finetune.py @ 7445a68): 1024 of the 1200 farthest points in training,
the 1024 farthest in the test; voting averages the logits of ten augmented draws.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cache.objects import Objects
from cache.scene_group import Listing
from stages.geometry.cloud_input import object_input
from stages.geometry.normalise import normalise
from stages.geometry.pointops import farthest_point_sample
from stages.loop.random_numbers import Draws, plain_draws, seed_of
from stages.loop.task import Task, Terms
from stages.training.augment import draw_points, scale_and_translate
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.rivals import build_rival, penalty
from stages.training.networks.shapes import ClassifierShape, RivalShape
from stages.training.spread import spread
from stages.training.tasks.classification.config import ClassificationConfig
from stages.training.tasks.downstream import Downstream, frozen_modules, rate_of, start
from stages.training.tasks.kinds import Measure, Work
from stages.training.tasks.shapes import Shapes, load_shapes, shape_inputs
from stages.training.weights.first_weights import Initial

ROWS_AT_A_TIME = 32


def inputs(config: ClassificationConfig, store: Listing) -> dict[str, str]:
    """Fingerprints of both splits."""
    return shape_inputs(store, {"train": "train", "test": "test"})


def _read(
    config: ClassificationConfig, store: Listing, split: str, device: torch.device
) -> tuple[Shapes, Objects]:
    shapes, found = load_shapes(store, (split,), device, keep=config.pool)
    needed = _ordered_points(config, int(np.diff(found.start).max()))
    if found.fps_points < needed:
        raise ValueError(
            f"{store.path}: {found.fps_points} points of each shape are in FPS order, {needed} are "
            f"needed; run prepare with --set prepare.fps_points={needed} --overwrite"
        )
    return shapes, found


def measure(config: ClassificationConfig, store: Listing, device: torch.device) -> Measure:
    """Read the test shapes, to measure a network on them."""
    test, found = _read(config, store, "test", device)
    return lambda model: _finish(model, config, test, found.classes)


def build(
    config: ClassificationConfig, store: Listing, initial: Initial, device: torch.device
) -> Downstream:
    """Read the shapes and make the task."""
    train, found = _read(config, store, "train", device)
    test, _ = _read(config, store, "test", device)
    torch.manual_seed(config.training.seed)
    model, about, depth = _model(config, len(found.classes), initial)
    matched = start(model, initial, config)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        points = _drawn(train, rows, config, draws)
        points = scale_and_translate(
            points, draws, scale=config.scale, translation=config.translation
        )
        logits = model(points)
        label = train.label[rows.to(train.label.device)]
        accuracy = (logits.argmax(dim=-1) == label).float().mean()
        loss = F.cross_entropy(logits.float(), label) + penalty(model)
        return Terms(loss, {"accuracy": accuracy})

    task = Task(
        model=model,
        about={
            **about,
            "input": object_input(config.num_points).model_dump(mode="json"),
            "classes": list(found.classes),
        },
        num_rows=len(train),
        losses=losses,
        inputs=lambda rows: {"points": train.first(rows, config.pool)},
        evaluate=lambda model: accuracies(predict(model, test, config.num_points), test.label),
        headline="val_accuracy",
        larger_is_better=True,
        frozen=frozen_modules(config.frozen_layers, depth),
        rate_of=rate_of(config.layer_decay, depth),
    )
    return Downstream(task, matched, lambda model: _finish(model, config, test, found.classes))


def _ordered_points(config: ClassificationConfig, stored: int) -> int:
    """How many points in FPS order are read: none where all that are stored are taken."""
    return next((n for n in (config.pool, config.num_points) if n < stored), 0)


def _model(
    config: ClassificationConfig, num_classes: int, initial: Initial
) -> tuple[nn.Module, dict[str, Any], int]:
    """The network, what rebuilds it, and its encoder's depth."""
    if config.model != "transformer":
        rival = RivalShape(kind=config.model, task="classification", num_outputs=num_classes)
        return build_rival(rival), {"kind": "rival", "shape": rival.model_dump(mode="json")}, 0
    shape = ClassifierShape(encoder=initial.shape(config.encoder), num_classes=num_classes)
    about = {"kind": "classifier", "shape": shape.model_dump(mode="json")}
    return PointClassifier(shape), about, shape.encoder.depth


def _drawn(shapes: Shapes, rows: Tensor, config: ClassificationConfig, draws: Draws) -> Tensor:
    """Distinct points of each shape's pool (B, N, 3), which is no larger than the shape."""
    pool = shapes.first(rows, config.pool)
    there = torch.arange(config.pool, device=pool.device) < shapes.count_of(rows)[:, None]
    return draw_points(pool, config.num_points, draws, wanted=there)


def predict(model: nn.Module, shapes: Shapes, num_points: int) -> Tensor:
    """Logits (N, K) of the plain test: the farthest points, not augmented."""
    parts = torch.arange(len(shapes)).split(ROWS_AT_A_TIME)
    return torch.cat([model(shapes.first(rows, num_points)).float() for rows in parts])


def vote(model: nn.Module, shapes: Shapes, config: ClassificationConfig, seed: int) -> Tensor:
    """Mean logits (N, K) over augmented draws, without a plain one among them."""
    means = []
    for rows in torch.arange(len(shapes)).split(ROWS_AT_A_TIME):
        total = torch.zeros(())
        for number in range(config.votes):
            own = seed_of(seed, "vote", int(rows[0]), number)
            draws = plain_draws(own, len(rows), shapes.points.device)
            points = _drawn(shapes, rows, config, draws)
            points = scale_and_translate(
                points, draws, scale=config.scale, translation=config.translation
            )
            total = total + model(points).float()
        means.append(total / config.votes)
    return torch.cat(means)


def accuracies(logits: Tensor, label: Tensor) -> dict[str, float]:
    """Accuracy over all shapes, and its mean over the classes that occur."""
    right = (logits.argmax(dim=-1) == label).double()
    num_classes = logits.shape[1]
    count = torch.bincount(label, minlength=num_classes)
    hits = torch.zeros(num_classes, dtype=torch.double, device=label.device)
    hits = hits.index_add(0, label, right)
    present = count > 0
    return {
        "val_accuracy": right.mean().item(),
        "val_class_accuracy": (hits[present] / count[present]).mean().item(),
    }


def confusion(logits: Tensor, label: Tensor) -> list[list[int]]:
    """Counts, a row each true class, a column each predicted."""
    size = logits.shape[1]
    flat = torch.bincount(label * size + logits.argmax(dim=-1), minlength=size * size)
    return flat.view(size, size).tolist()


def _finish(
    model: nn.Module, config: ClassificationConfig, test: Shapes, classes: tuple[str, ...]
) -> dict[str, Any]:
    logits = predict(model, test, config.num_points)
    found: dict[str, Any] = {
        **accuracies(logits, test.label),
        "classes": list(classes),
        "confusion": confusion(logits, test.label),
    }
    voted = [
        accuracies(vote(model, test, config, repeat), test.label)["val_accuracy"]
        for repeat in range(config.vote_repeats)
    ]
    if voted:
        repeats = spread(voted)
        found["voting"] = {
            "votes": config.votes,
            "repeats": len(voted),
            "mean": repeats["mean"],
            "std": repeats["std"],
            "paper_style_best": max(voted),
        }
    return found


def _of_cloud(
    model: nn.Module,
    config: ClassificationConfig,
    about: Mapping[str, Any],
    cloud: Tensor,
    category: str | None,
) -> dict[str, Any]:
    """`class`, its name, and `probability` (K,) of `classes`, of the cloud's farthest points."""
    points = normalise(cloud[None], "unit_sphere")
    chosen = farthest_point_sample(points, config.num_points, near_origin_rule=False)
    logits = model(points[:, chosen[0]]).float()[0]
    return {
        "class": about["classes"][int(logits.argmax())],
        "probability": logits.softmax(dim=-1),
        "classes": tuple(about["classes"]),
    }


WORK = Work(inputs, measure, build, _of_cloud)
