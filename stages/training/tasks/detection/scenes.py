"""Scans for detection: drawn, cut, turned and measured as 3DETR's data set does (@ a5d1aad).

In training a random cuboid of the scene, 40,000 of its points, flips and a turn of up to five degrees;
turned boxes stay aligned to the axes, and grow. In the test only the draw, which is random there too.
"""

import math
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.scans import read_scan
from cache.scene_group import Listing
from cache.scene_set import Classes
from stages.loop.random_numbers import Draws, seed_of
from stages.training.augment import turned
from stages.training.tasks.detection.criterion import Truth
from stages.training.tasks.scans import annotated, scene_set

PADDED_BOXES = 64  # as the reference; a scene with more has more
FROZEN_VERTICES = 50_000
TRIES, MIN_CROP, ASPECT = 100, 0.5, 0.8
TURN = math.pi / 36


@dataclass(frozen=True)
class Scenes:
    """vertices (T, 3), scene after scene; start and count (N,); boxes (N, T, 6), label (N, T) padded.

    `num_boxes` (N,) of them are there, all that the scene has.
    """

    vertices: Tensor
    start: Tensor
    count: Tensor
    boxes: Tensor
    label: Tensor
    num_boxes: Tensor
    names: tuple[str, ...]
    classes: Classes

    def __len__(self) -> int:
        """The number of scenes."""
        return len(self.count)

    def points(self, row: int) -> Tensor:
        """All vertices (V, 3) of a scene."""
        first = int(self.start[row])
        return self.vertices[first : first + int(self.count[row])]


@dataclass(frozen=True)
class Batch:
    """Points (B, N, 3), their range (B, 3) each, and the true boxes."""

    points: Tensor
    low: Tensor
    high: Tensor
    truth: Truth


def load_scenes(
    store: Listing,
    split: str,
    device: torch.device,
    vertices: Literal["all", "votenet_50k"] = "all",
    only: Path | None = None,
) -> Scenes:
    """Read the annotated scenes of a split, all or those that `only` lists. Raises ValueError if there is none.

    `votenet_50k` keeps 50,000 random vertices of a scene, the same in every run, as VoteNet's
    exported arrays have it and so 3DETR's published numbers.
    """
    names, classes = annotated(store, (split,), only), scene_set(store).detection
    points, boxes, labels = [], [], []
    for scene_id in names:
        scan = read_scan(store.path, scene_id, store.members[scene_id])
        assert scan.boxes is not None
        own = scan.boxes[np.isin(scan.boxes[:, 6], classes.ids)]
        points.append(scan.vertices if vertices == "all" else _frozen(scan.vertices, scene_id))
        boxes.append(own[:, :6])
        labels.append([classes.ids.index(int(number)) for number in own[:, 6]])
    most = _padded_to(boxes)
    padded = torch.zeros(len(points), most, 6)
    label = torch.zeros(len(points), most, dtype=torch.long)
    for row, (own, kinds) in enumerate(zip(boxes, labels, strict=True)):
        padded[row, : len(own)] = torch.from_numpy(own).float()
        label[row, : len(own)] = torch.tensor(kinds, dtype=torch.long)
    count = torch.tensor([len(item) for item in points])
    return Scenes(
        torch.from_numpy(np.concatenate(points)).to(device),
        count.cumsum(0) - count,
        count,
        padded.to(device),
        label.to(device),
        torch.tensor([len(item) for item in boxes]),
        tuple(names),
        classes,
    )


def _padded_to(boxes: Sequence[Sized]) -> int:
    return max(PADDED_BOXES, *map(len, boxes))


def _frozen(vertices: NDArray[np.float32], scene_id: str) -> NDArray[np.float32]:
    if len(vertices) <= FROZEN_VERTICES:
        return vertices
    generator = np.random.default_rng(seed_of("votenet_50k", scene_id))
    return vertices[generator.choice(len(vertices), FROZEN_VERTICES, replace=False)]


def draw_batch(
    scenes: Scenes, rows: Tensor, num_points: int, draws: Draws, *, augment: bool, min_points: int
) -> Batch:
    """Make the items of some scenes.

    A cuboid keeps `min_points` of a scene of at most 50,000 vertices, as the reference's have; of a
    larger one the same share as if 50,000 had been drawn.
    """
    most = int(scenes.count.max())
    order = draws.uniform(most)  # of vertices
    crops = draws.uniform(TRIES, 4) if augment else None
    turns = draws.uniform(3) if augment else None
    clouds, boxes, labels = [], [], []
    for place, row in enumerate(rows.tolist()):
        points, number = scenes.points(row), int(scenes.num_boxes[row])
        box, label = scenes.boxes[row, :number], scenes.label[row, :number]
        if crops is not None:
            least = math.ceil(min_points * max(1.0, len(points) / FROZEN_VERTICES))
            points, kept = cut(points, box, crops[place], least)
            box, label = box[kept], label[kept]
        points = points[_sample(order[place, : len(points)], num_points)]
        if turns is not None:
            points, box = turn(points, box, turns[place])
        clouds.append(points)
        boxes.append(box)
        labels.append(label)
    return collate(torch.stack(clouds), boxes, labels)


def _sample(numbers: Tensor, count: int) -> Tensor:
    """Indices of distinct ones, or of all and repeats if there are fewer."""
    order = numbers.argsort()
    if len(order) >= count:
        return order[:count]
    return order[torch.arange(count, device=order.device) % len(order)]


def cut(points: Tensor, boxes: Tensor, numbers: Tensor, min_points: int) -> tuple[Tensor, Tensor]:
    """Cut a random cuboid that leaves enough points and a box's centre; all of it if none does.

    `numbers` (tries, 4) in [0, 1): three for the cuboid's sides, of half to all of the scene's, of
    which two must be nearly alike, and one for the point in its middle. Returns the points, and
    which boxes (M,) stay.
    """
    if len(points) < min_points:
        return points, torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    extent = points.amax(dim=0) - points.amin(dim=0)
    sides = MIN_CROP + numbers[:, :3] * (1 - MIN_CROP)
    pairs = sides[:, [[0, 1], [0, 2], [1, 2]]]
    alike = (pairs.amin(dim=2) / pairs.amax(dim=2) >= ASPECT).any(dim=1)
    for number in alike.nonzero()[:, 0].tolist():
        middle = points[int(numbers[number, 3] * len(points))]
        half = extent * sides[number] / 2
        inside = ((points <= middle + half) & (points >= middle - half)).all(dim=1)
        if int(inside.sum()) < min_points:
            continue
        kept_points = points[inside]
        low, high = kept_points.amin(dim=0), kept_points.amax(dim=0)
        centers = boxes[:, :3]
        kept = ((centers >= low) & (centers <= high)).all(dim=1)
        if len(boxes) == 0 or kept.any():
            return kept_points, kept
    return points, torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)


def turn(points: Tensor, boxes: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Flip x, flip y, each if its number is above a half, and turn about z by up to five degrees."""
    flip = torch.where(numbers[:2] > 0.5, -1.0, 1.0).to(points)
    flip = torch.cat([flip, flip.new_ones(1)])
    angle = float(numbers[2]) * 2 * TURN - TURN
    c, s = math.cos(angle), math.sin(angle)
    rotation = points.new_tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    centers = turned(boxes[:, :3] * flip, rotation)
    size = boxes[:, 3:]
    # The smallest aligned box around the turned one.
    grown = torch.stack(
        [
            abs(c) * size[:, 0] + abs(s) * size[:, 1],
            abs(s) * size[:, 0] + abs(c) * size[:, 1],
            size[:, 2],
        ],
        dim=1,
    )
    return turned(points * flip, rotation), torch.cat([centers, grown], dim=1)


def collate(points: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> Batch:
    """Pad the boxes of points (B, N, 3), and measure them by the points' range."""
    low, high = points.amin(dim=1), points.amax(dim=1)
    most = _padded_to(boxes)
    padded = points.new_zeros(len(points), most, 6)
    label = torch.zeros(len(points), most, dtype=torch.long, device=points.device)
    present = torch.zeros(len(points), most, dtype=torch.bool, device=points.device)
    for place, (own, kinds) in enumerate(zip(boxes, labels, strict=True)):
        padded[place, : len(own)], label[place, : len(own)] = own, kinds
        present[place, : len(own)] = True
    extent = (high - low)[:, None]
    center = (padded[..., :3] - low[:, None]) / extent * present[..., None]
    return Batch(points, low, high, Truth(padded, center, padded[..., 3:] / extent, label, present))
