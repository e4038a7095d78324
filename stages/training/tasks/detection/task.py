"""Detection on ScanNet as 3DETR trains and judges it, with our encoder or its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cache.scene_group import Listing
from stages.geometry.cloud_input import scene_input
from stages.loop.random_numbers import Draws, plain_draws, seed_of
from stages.loop.task import Task, Terms
from stages.training.networks.detections import Prediction
from stages.training.networks.detector import Detector
from stages.training.networks.shapes import DetectorShape
from stages.training.tasks.detection.config import DetectionConfig
from stages.training.tasks.detection.criterion import total_loss
from stages.training.tasks.detection.metrics import Boxes, Precision, average_precision
from stages.training.tasks.detection.scenes import (
    Batch,
    Scenes,
    draw_batch,
    load_scenes,
)
from stages.training.tasks.detection.selection import kept_queries
from stages.training.tasks.downstream import Downstream, frozen_modules, rate_of, start
from stages.training.tasks.kinds import Measure, Work
from stages.training.tasks.scans import HELD, scan_inputs
from stages.training.weights.first_weights import Initial

THRESHOLDS = (0.25, 0.5)
ROWS_AT_A_TIME = 8
SHOWN, SHOWN_POINTS = 3, 6000


def inputs(config: DetectionConfig, store: Listing) -> dict[str, str]:
    """Fingerprints of the scenes that are learned from, and judged on."""
    return scan_inputs(store, ("train",), config.scenes)


def measure(config: DetectionConfig, store: Listing, device: torch.device) -> Measure:
    """Read the held scenes, to measure a network on them."""
    held = load_scenes(store, HELD, device, config.vertices)
    return lambda model: finish(model, config, held)


def build(
    config: DetectionConfig, store: Listing, initial: Initial, device: torch.device
) -> Downstream:
    """Read the scenes and make the task."""
    train = load_scenes(store, "train", device, config.vertices, config.scenes)
    test = load_scenes(store, HELD, device, config.vertices)
    torch.manual_seed(config.training.seed)
    shape = DetectorShape(
        kind=config.kind,
        encoder=initial.shape(config.encoder),
        own=config.own,
        norm_input=config.norm_input,
        num_classes=len(train.classes),
        width=config.decoder_width,
        layers=config.decoder_layers,
        heads=config.decoder_heads,
        hidden=config.decoder_width,
        num_queries=config.num_queries,
        dropout=config.dropout,
        head_dropout=config.head_dropout,
    )
    model = Detector(shape)
    matched = start(model, initial, config)
    depth = shape.encoder.depth

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        batch = draw_batch(
            train,
            rows,
            config.num_points,
            draws,
            augment=config.augment,
            min_points=config.cuboid_min_points,
        )
        raw = model(batch.points, batch.low, batch.high)
        total, terms = total_loss(raw, batch.truth, config.criterion)
        return Terms(total, {f"loss_{name}": value for name, value in terms.items()})

    def evaluate(model: nn.Module) -> dict[str, float]:
        # As in the reference's training, empty boxes are not looked for.
        found = judge(model, test, config.num_points, draw=0, remove_empty=False)[0]
        return {f"val_ap{100 * t:.0f}": p.mean_ap for t, p in zip(THRESHOLDS, found, strict=True)}

    task = Task(
        model=model,
        about={
            "kind": "detector",
            "shape": shape.model_dump(mode="json"),
            "input": scene_input(config.num_points).model_dump(mode="json"),
            "classes": list(train.classes.names),
        },
        num_rows=len(train),
        losses=losses,
        inputs=lambda rows: {"boxes": train.boxes[rows.to(train.boxes.device)]},
        evaluate=evaluate,
        headline="val_ap25",
        larger_is_better=True,
        frozen=frozen_modules(config.frozen_layers, depth) if config.kind == "student" else (),
        rate_of=rate_of(config.layer_decay, depth) if config.kind == "student" else lambda _: 1.0,
    )
    return Downstream(task, matched, lambda model: finish(model, config, test))


def judge(
    model: nn.Module, scenes: Scenes, num_points: int, draw: int, *, remove_empty: bool = True
) -> tuple[list[Precision], list[dict[str, Any]]]:
    """Average precision at each threshold of one seeded draw, and some scenes to be shown."""
    detected, true = [], []
    shown: list[dict[str, Any]] = []
    for rows in torch.arange(len(scenes)).split(ROWS_AT_A_TIME):
        draws = plain_draws(seed_of(draw, "test", int(rows[0])), len(rows), scenes.vertices.device)
        batch = draw_batch(scenes, rows, num_points, draws, augment=False, min_points=1)
        found = model(batch.points, batch.low, batch.high).layers()[-1]
        kept = kept_queries(found, batch.points, remove_empty=remove_empty)
        detected.append(_detections(found, kept, rows))
        true.append(_true_boxes(batch, rows))
        if len(shown) < SHOWN:
            shown += _shown(found, kept, batch, [scenes.names[row] for row in rows.tolist()])
    together = [_joined(parts) for parts in (detected, true)]
    return average_precision(together[0], together[1], THRESHOLDS), shown[:SHOWN]


def finish(model: nn.Module, config: DetectionConfig, test: Scenes) -> dict[str, Any]:
    """Average precision over several draws, by class as the paper's Table 9, and scenes to show."""
    draws = [judge(model, test, config.num_points, draw) for draw in range(config.test_draws)]
    found: dict[str, Any] = {"test_draws": len(draws), "boxes": draws[0][1], "by_class": {}}
    for number, threshold in enumerate(THRESHOLDS):
        name = f"ap{100 * threshold:.0f}"
        precisions = [precision[number] for precision, _ in draws]
        found[f"val_{name}"] = _mean([p.mean_ap for p in precisions])
        found[f"val_recall{100 * threshold:.0f}"] = _mean([p.mean_recall for p in precisions])
        found["by_class"][name] = {
            test.classes.names[label]: _mean([p.ap[label] for p in precisions if label in p.ap])
            for label in sorted(precisions[0].ap)
        }
        # In the mean a class that is looked for but not there counts 0; here it does not count.
        there = set(test.label[present_of(test)].tolist())
        found[f"val_{name}_there"] = _mean(
            [p.ap.get(label, 0.0) for p in precisions for label in sorted(there)]
        )
    found["classes_there"], found["classes"] = len(there), list(test.classes.names)
    return found


def present_of(scenes: Scenes) -> Tensor:
    """Which of the padded boxes are there, (N, T) bool."""
    places = torch.arange(scenes.boxes.shape[1], device=scenes.boxes.device)
    return places < scenes.num_boxes.to(scenes.boxes.device)[:, None]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _detections(found: Prediction, kept: Tensor, rows: Tensor) -> Boxes:
    """Every kept box for every class, scored by the class's probability times objectness."""
    scene, query = kept.nonzero(as_tuple=True)
    count = found.class_probability.shape[-1]
    score = found.class_probability[scene, query] * found.objectness[scene, query, None]
    label = torch.arange(count, device=scene.device).expand(len(scene), -1)
    return Boxes(
        found.boxes[scene, query].repeat_interleave(count, dim=0).cpu(),
        rows[scene.cpu()].repeat_interleave(count),
        label.flatten().cpu(),
        score.flatten().cpu(),
    )


def _true_boxes(batch: Batch, rows: Tensor) -> Boxes:
    scene, place = batch.truth.present.nonzero(as_tuple=True)
    return Boxes(
        batch.truth.boxes[scene, place].cpu(),
        rows[scene.cpu()],
        batch.truth.label[scene, place].cpu(),
    )


def _joined(parts: list[Boxes]) -> Boxes:
    scores = [part.score for part in parts if part.score is not None]
    return Boxes(
        torch.cat([part.box for part in parts]),
        torch.cat([part.scene for part in parts]),
        torch.cat([part.label for part in parts]),
        torch.cat(scores) if scores else None,
    )


def _shown(found: Prediction, kept: Tensor, batch: Batch, names: list[str]) -> list[dict[str, Any]]:
    """Points and boxes, true and predicted, of some scenes: plain lists in centimetres."""
    scenes = []
    for place, name in enumerate(names):
        sure = kept[place] & (found.objectness[place] > 0.5)
        present = batch.truth.present[place]
        scenes.append(
            {
                "scene": name,
                "points": _centimetres(batch.points[place, :SHOWN_POINTS]),
                "true": _centimetres(batch.truth.boxes[place][present]),
                "true_class": batch.truth.label[place][present].tolist(),
                "predicted": _centimetres(found.boxes[place][sure]),
                "predicted_class": found.class_probability[place][sure].argmax(dim=-1).tolist(),
            }
        )
    return scenes


def _centimetres(values: Tensor) -> list[list[int]]:
    return (values * 100).round().int().tolist()


def _of_cloud(
    model: nn.Module,
    config: DetectionConfig,
    about: Mapping[str, Any],
    cloud: Tensor,
    category: str | None,
) -> dict[str, Any]:
    """`boxes` (Q, 6), centre and size in the cloud's metres, `class` (Q,) names, `score` (Q,)."""
    draws = plain_draws(0, 1, cloud.device)
    order = draws.uniform(len(cloud))[0].argsort()
    places = torch.arange(config.num_points, device=cloud.device) % len(cloud)
    points = cloud[order[places]][None]
    found = model(points, points.amin(dim=1), points.amax(dim=1)).layers()[-1]
    kept = kept_queries(found, points)[0]
    probability = found.class_probability[0, kept]
    score = probability.amax(dim=-1) * found.objectness[0, kept]
    order = score.argsort(descending=True)
    names = [about["classes"][number] for number in probability.argmax(dim=-1)[order].tolist()]
    return {"boxes": found.boxes[0, kept][order], "class": names, "score": score[order]}


WORK = Work(inputs, measure, build, _of_cloud)
