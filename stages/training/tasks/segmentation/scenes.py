"""Scans for semantic segmentation: all vertices on the device, and points drawn from there."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cache.scans import read_scan
from cache.scene_group import Listing
from cache.scene_set import Classes
from stages.loop.random_numbers import Draws
from stages.training.augment import turned
from stages.training.tasks.scans import annotated, scene_set
from stages.training.tasks.segmentation.labelled_points import kept, read_labelled_points
from stages.training.tasks.segmentation.scores import UNLABELLED, classes_of


@dataclass(frozen=True)
class Scenes:
    """vertices (T, 3) in metres and label (T,) int8, scene after scene; start and count (N,).

    A label is the number of a class in `classes`, or UNLABELLED.
    """

    vertices: Tensor
    label: Tensor
    start: Tensor
    count: Tensor
    names: tuple[str, ...]
    classes: Classes

    def __len__(self) -> int:
        """The number of scenes."""
        return len(self.names)

    def part(self, row: int) -> slice:
        """Where a scene's vertices lie."""
        first = int(self.start[row])
        return slice(first, first + int(self.count[row]))

    def draw(self, rows: Tensor, number: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """Draw distinct vertices of some scenes; a scene with fewer repeats them.

        Returns points (B, number, 3) and their classes (B, number) int8.
        """
        numbers = draws.uniform(int(self.count.max()))
        index = []
        for own, row in zip(numbers, rows.tolist(), strict=True):
            count = int(self.count[row])
            order = own[:count].argsort()
            places = torch.arange(number, device=order.device) % count
            index.append(int(self.start[row]) + order[places])
        together = torch.stack(index)
        return self.vertices[together], self.label[together]


def load_scenes(
    store: Listing,
    splits: tuple[str, ...],
    device: torch.device,
    *,
    only: Path | None = None,
    points: Path | None = None,
) -> Scenes:
    """Read the annotated scenes of some splits, all or those that the file `only` lists.

    Of the vertices, those that the file `points` does not list lose their label. Raises ValueError if
    there is no scene, or if a list does not fit.
    """
    names, classes = annotated(store, splits, only), scene_set(store).segmentation
    listed = read_labelled_points(points) if points else None
    vertices, labels = [], []
    for name in names:
        scan = read_scan(store.path, name, store.members[name])
        assert scan.semantic is not None
        vertices.append(scan.vertices)
        label = classes_of(scan.semantic, classes.ids)
        if listed is not None:
            if name not in listed:
                raise ValueError(f"{points}: has no points of {name}, which is learned from")
            is_listed = kept(listed[name], len(label), f"{points}: {name}")
            label = np.where(is_listed, label, np.int8(UNLABELLED))
        labels.append(label)
    count = torch.tensor([len(item) for item in vertices])
    return Scenes(
        torch.from_numpy(np.concatenate(vertices)).to(device),
        torch.from_numpy(np.concatenate(labels)).to(device),
        count.cumsum(0) - count,
        count,
        tuple(names),
        classes,
    )


def augmented(points: Tensor, draws: Draws, scale: tuple[float, float]) -> Tensor:
    """Turn clouds (B, N, 3) about z by any angle, mirror half of them, and scale each as a whole.

    Around the middle of each. The paper names no augmentation for this task; this one is ours.
    """
    numbers = draws.uniform(3)
    angle = 2 * math.pi * numbers[:, 0]
    sign = torch.where(numbers[:, 1] > 0.5, -1.0, 1.0)
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rotation = torch.stack([c * sign, -s, zero, s * sign, c, zero, zero, zero, one], dim=1)
    factor = scale[0] + (scale[1] - scale[0]) * numbers[:, 2]
    matrix = rotation.unflatten(1, (3, 3)) * factor[:, None, None]
    middle = points.mean(dim=1, keepdim=True)
    return turned(points - middle, matrix) + middle
