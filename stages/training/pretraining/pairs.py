"""All pairs of cloud and target, read once from the cache into memory of the device.

int16 millimetres and float16 targets, as they are stored: ScanNet's 77,000 training frames are
7.6 GB of points and 1.2 GB of prefixes. What does not fit on the device stays in the host's memory,
and is fetched a batch at a time.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.card import CardError
from cache.points import SCALE_M, points_per_frame, read_points
from cache.prefixes import PREFIX, VALID, read_array
from cache.scene_group import Listing
from stages.loop.random_numbers import seed_of

READERS = 8
ROWS_AT_A_TIME = 4096
MAX_SHARE = 0.5  # of the device's free memory, for data; the rest is the training's


@dataclass(frozen=True)
class Pairs:
    """points (N, P, 3) int16 millimetres, targets (N, L, D) float16 by array; room and row (N,).

    `room` numbers the scene, `row` the frame in its manifest; pairs are in their order. They lie on
    `device`, or in host memory. `num_dropped` rows had no target, or were left out since.
    """

    points: Tensor
    targets: Mapping[str, Tensor]
    room: Tensor
    row: Tensor
    scene_ids: tuple[str, ...]
    device: torch.device
    num_dropped: int = 0

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.points)

    def metres(self, rows: Tensor) -> Tensor:
        """Points of some rows in metres, (B, P, 3) float32, on the device."""
        return self._fetch(self.points, rows).float() * SCALE_M

    def target(self, array: str, rows: Tensor) -> Tensor:
        """Targets of some rows, (B, L, D) float32, on the device."""
        return self._fetch(self.targets[array], rows).float()

    def _fetch(self, values: Tensor, rows: Tensor) -> Tensor:
        rows = rows.to(values.device)
        if values.device.type == self.device.type:
            return values[rows]
        # Gathered in pinned memory, from which the copy runs beside what the host does next. torch
        # gives that memory to nobody else until the copy is done.
        shape = (len(rows), *values.shape[1:])
        staged = torch.empty(shape, dtype=values.dtype, pin_memory=True)
        torch.index_select(_bytes(values), 0, rows, out=_bytes(staged))
        return staged.to(self.device, non_blocking=True)

    def only(self, kept: Tensor) -> "Pairs":
        """Those where `kept` (N,) bool."""
        kept = kept.to(self.points.device)
        return replace(
            self,
            points=self.points[kept],
            targets={name: values[kept] for name, values in self.targets.items()},
            room=self.room[kept],
            row=self.row[kept],
            num_dropped=self.num_dropped + int((~kept).sum()),
        )

    def with_targets_of_others(self, seed: int) -> "Pairs":
        """A control: each row has the targets of a row of another room. Raises ValueError if it cannot."""
        order = derange(self.room.cpu(), seed).to(self.room.device)
        return replace(self, targets={name: values[order] for name, values in self.targets.items()})

    def target_statistics(self, array: str) -> tuple[Tensor, Tensor]:
        """Mean and deviation (L, D) of the targets, on the device; summed in float64."""
        parts = self.targets[array].split(ROWS_AT_A_TIME)
        mean = sum(part.double().sum(dim=0) for part in parts) / len(self)
        var = sum((part.double() - mean).square().sum(dim=0) for part in parts) / len(self)
        assert isinstance(mean, Tensor)
        assert isinstance(var, Tensor)
        return mean.float().to(self.device), var.sqrt().float().to(self.device)


def derange(room: Tensor, seed: int) -> Tensor:
    """A random order (N,) in which no row takes the place of one of its own room.

    Raises ValueError if a room has more than half of all rows, so that there is none.
    """
    if 2 * int(room.bincount().max()) > len(room):
        raise ValueError(
            "pretrain.control = shuffled_targets: one room has more than half of all frames, so its "
            "targets cannot be given to others"
        )
    generator = torch.Generator().manual_seed(seed_of(seed, "shuffled targets"))
    order = torch.randperm(len(room), generator=generator)
    while len(same := (room[order] == room).nonzero()[:, 0]):
        for row in same.tolist():  # few; each changes places with any other
            other = int(torch.randint(len(room), (1,), generator=generator))
            order[[row, other]] = order[[other, row]]
    return order


def load_pairs(
    points: Listing,
    store: Listing | None,
    splits: Sequence[str],
    device: torch.device,
    *,
    arrays: Sequence[str] = (PREFIX,),
    advance: Callable[[int], None] = lambda _: None,
    instead: str = "",
) -> Pairs:
    """Read the pairs of all scenes of some splits, several scenes at a time, with `arrays` of the store.

    Without a store there are no targets, and all frames. Raises CardError, naming the scene and both
    fingerprints, if points and targets do not belong together; ValueError if there is no pair. `instead`
    is what else could be done about that.
    """
    scenes = _matching_scenes(points, store, splits, instead)
    counts = [count for _, count in scenes]
    starts = np.cumsum([0, *counts])
    total, first = int(starts[-1]), scenes[0][0]
    shape = (total, points_per_frame(points.members[first]), 3)
    firsts = {name: _read(store, first, name) for name in arrays} if store else {}
    target_shapes = {name: (total, *values.shape[1:]) for name, values in firsts.items()}
    place = _place(2 * sum(map(math.prod, (shape, *target_shapes.values()))), device)
    all_points = place(shape, torch.int16)
    all_targets = {name: place(own, torch.float16) for name, own in target_shapes.items()}
    valid = torch.ones(total, dtype=torch.bool)

    def read(number: int) -> None:
        scene_id, rows = scenes[number][0], slice(starts[number], starts[number + 1])
        stored = read_points(points.path, scene_id, points.members[scene_id])
        all_points[rows] = torch.from_numpy(stored).to(all_points.device)
        if store is None:
            return
        for name, values in all_targets.items():
            own = firsts[name] if number == 0 else _read(store, scene_id, name)
            values[rows] = torch.from_numpy(own).to(values.device)
        valid[rows] = torch.from_numpy(
            read_array(store.path, scene_id, VALID, store.members[scene_id])
        )

    with ThreadPoolExecutor(READERS) as pool:
        for done, _ in enumerate(pool.map(read, range(len(scenes))), start=1):
            advance(done)
    where = all_points.device
    room = torch.repeat_interleave(torch.arange(len(scenes)), torch.tensor(counts))
    row = torch.cat([torch.arange(count) for count in counts])
    scene_ids = tuple(scene_id for scene_id, _ in scenes)
    pairs = Pairs(all_points, all_targets, room.to(where), row.to(where), scene_ids, device)
    if not valid.all():
        pairs = pairs.only(valid)
    if len(pairs) == 0:
        raise ValueError(f"{points.path}: no frame of {', '.join(splits)} with a valid target")
    return pairs


def _read(store: Listing, scene_id: str, name: str) -> NDArray[np.float16]:
    """One scene's targets (F, L, D); of an array of one vector a frame, L is 1."""
    values = read_array(store.path, scene_id, name, store.members[scene_id])
    return values[:, None] if values.ndim == 2 else values


def _bytes(values: Tensor) -> Tensor:
    """Rows as bytes, (N, ...) to (N, D): a hundred times faster to select than int16."""
    return values.flatten(1).view(torch.uint8)


def _place(
    num_bytes: int, device: torch.device
) -> Callable[[tuple[int, ...], torch.dtype], Tensor]:
    """Return what makes empty tensors: on the device if all of it leaves room for the training."""
    if device.type != "cuda":
        return lambda shape, dtype: torch.empty(shape, dtype=dtype)
    torch.cuda.empty_cache()  # what an earlier training of this process gave back counts as free
    free, _ = torch.cuda.mem_get_info(device)
    if num_bytes < MAX_SHARE * free:
        return lambda shape, dtype: torch.empty(shape, dtype=dtype, device=device)
    return lambda shape, dtype: torch.empty(shape, dtype=dtype)


def _matching_scenes(
    points: Listing, store: Listing | None, splits: Sequence[str], instead: str
) -> list[tuple[str, int]]:
    """Scene ids and numbers of rows; every scene of the points must have its targets, if there is a store."""
    scenes, there = [], Counter[str]()
    for scene_id, member in points.members.items():
        card = member.card
        there[card.inputs["split"]] += 1
        if card.inputs["split"] not in splits:
            continue
        scenes.append((scene_id, card.counts["statuses"].get("kept", 0)))
        if store is None:
            continue
        if scene_id not in store:
            raise CardError(
                f"{store.path}: {scene_id} is missing, though {points.path} has it; run teacher-cache again"
            )
        of = store.card(scene_id)
        if of.inputs["frames"] != card.fingerprint:
            raise CardError(
                f"{scene_id}: its targets were made from frames {of.inputs['frames']}, its points "
                f"are {card.fingerprint}; run teacher-cache again"
            )
    if not there:
        raise ValueError(f"{points.path}: no scene there; run extract first")
    if not scenes:
        found = ", ".join(f"{count} of {split}" for split, count in sorted(there.items()))
        raise ValueError(
            f"{points.path}: no scene of {', '.join(splits)}, only {found}. Extract some recordings as "
            f"such: extract FILES --split {splits[0]} (with --overwrite if they are there already), then "
            f"teacher-cache{instead}"
        )
    return scenes
