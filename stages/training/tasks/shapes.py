"""Shapes of a data set on the device, normalised once, and drawn from there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cache.card import CardError
from cache.objects import Objects, read_objects
from cache.scene_group import Listing
from stages.geometry.normalise import normalise
from stages.loop.random_numbers import Draws


@dataclass(frozen=True)
class Shapes:
    """points (T, 3) in the unit sphere, shape after shape; start, count and label (N,); part (T,)."""

    points: Tensor
    start: Tensor
    count: Tensor
    label: Tensor
    part: Tensor | None

    def __len__(self) -> int:
        """The number of shapes."""
        return len(self.label)

    def first(self, rows: Tensor, number: int) -> Tensor:
        """The first points of some shapes, (B, number, 3): their farthest point sample.

        A shape with fewer repeats them.
        """
        rows = rows.to(self.start.device)
        places = torch.arange(number, device=rows.device) % self.count[rows, None]
        return self.points[self.start[rows, None] + places]

    def count_of(self, rows: Tensor) -> Tensor:
        """How many points some shapes have, (B,)."""
        return self.count[rows.to(self.count.device)]

    def any(self, rows: Tensor, number: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """Draw points with replacement, as the part segmentation protocol does.

        Returns points (B, number, 3) and their parts (B, number).
        """
        assert self.part is not None
        rows = rows.to(self.start.device)
        places = (draws.uniform(number) * self.count[rows, None]).long()
        index = self.start[rows, None] + places
        return self.points[index], self.part[index].long()


def load_shapes(
    store: Listing, splits: tuple[str, ...], device: torch.device, *, keep: int | None = None
) -> tuple[Shapes, Objects]:
    """Read splits, put each shape into the unit sphere, and keep the first `keep` points of each.

    Also returns the first split as it is stored, for its names. Raises CardError.
    """
    found = [read_objects(store.path, split, store.members.get(split)) for split in splits]
    points = torch.cat([_normalised(objects) for objects in found]).numpy()
    count = np.concatenate([np.diff(objects.start) for objects in found])
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    parts = [objects.part for objects in found if objects.part is not None]
    part = np.concatenate(parts) if parts else None
    if keep is not None:
        kept = np.minimum(count, keep)
        place = np.arange(len(points)) - np.repeat(start, count)
        chosen = place < np.repeat(kept, count)
        points, part = points[chosen], None if part is None else part[chosen]
        count, start = kept, np.concatenate([[0], np.cumsum(kept)[:-1]])
    label = np.concatenate([objects.label for objects in found]).astype(np.int64)
    shapes = Shapes(
        torch.from_numpy(points).to(device),
        torch.from_numpy(start).to(device),
        torch.from_numpy(count).to(device),
        torch.from_numpy(label).to(device),
        None if part is None else torch.from_numpy(part).to(device),
    )
    return shapes, found[0]


def shape_inputs(store: Listing, splits: Mapping[str, str]) -> dict[str, str]:
    """Fingerprints of splits, by what a task calls them. Raises CardError if one is not there."""
    for split in splits.values():
        if split not in store:
            there = ", ".join(store.members) or "nothing"
            raise CardError(f"{store.path}: has no split {split!r}, only {there}; run prepare")
    return {name: store.card(split).fingerprint for name, split in splits.items()}


def _normalised(objects: Objects) -> Tensor:
    """Each shape in the unit sphere by itself, (T, 3) float32, computed in float64."""
    whole = torch.from_numpy(objects.points)
    shapes = whole.split(np.diff(objects.start).tolist())
    return torch.cat(
        [normalise(shape[None].double(), "unit_sphere")[0].float() for shape in shapes]
    )
