"""All pairs of cloud and target, read once from the cache into memory of the device.

int16 millimetres and float16 targets, as they are stored: ScanNet's 77,000 training frames are
7.6 GB of points and 1.2 GB of prefixes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cache.card import CardError
from cache.points import SCALE_M, read_points
from cache.prefixes import PREFIX, VALID, read_array
from cache.scene_group import list_scenes, scene_card
from stages.training.objectives import Target

READERS = 8


@dataclass(frozen=True)
class Pairs:
    """points (N, P, 3) int16 millimetres, targets (N, L, D) float16, room (N,) the scene's number.

    Rows are in the order of scenes and of their manifests. `num_invalid` rows had no target and
    were dropped.
    """

    points: Tensor
    targets: Tensor
    room: Tensor
    scene_ids: tuple[str, ...]
    num_invalid: int

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.points)

    def metres(self, rows: Tensor) -> Tensor:
        """Points of some rows in metres, (B, P, 3) float32."""
        return self.points[rows].float() * SCALE_M

    def target_statistics(self) -> Target:
        """Mean and deviation (L, D) of the targets, in float64 over all rows."""
        targets = self.targets.double()
        return Target(targets.mean(dim=0).float(), targets.std(dim=0, unbiased=False).float())


def load_pairs(
    points: Path,
    store: Path,
    splits: Sequence[str],
    device: torch.device,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Pairs:
    """Read the pairs of all scenes of some splits, several scenes at a time.

    Raises CardError, naming the scene and both fingerprints, if points and targets do not belong
    together; ValueError if there is no pair.
    """
    scenes = _matching_scenes(points, store, splits)
    counts = [count for _, count in scenes]
    starts = np.cumsum([0, *counts])
    first = scenes[0][0]
    shape = read_points(points, first).shape[1:]
    target_shape = read_array(store, first, PREFIX).shape[1:]
    all_points = torch.empty((int(starts[-1]), *shape), dtype=torch.int16)
    all_targets = torch.empty((int(starts[-1]), *target_shape), dtype=torch.float16)
    valid = torch.empty(int(starts[-1]), dtype=torch.bool)

    def read(number: int) -> None:
        scene_id, rows = scenes[number][0], slice(starts[number], starts[number + 1])
        all_points[rows] = torch.from_numpy(read_points(points, scene_id))
        all_targets[rows] = torch.from_numpy(read_array(store, scene_id, PREFIX))
        valid[rows] = torch.from_numpy(read_array(store, scene_id, VALID))

    with ThreadPoolExecutor(READERS) as pool:
        for done, _ in enumerate(pool.map(read, range(len(scenes))), start=1):
            advance(done)
    room = torch.repeat_interleave(torch.arange(len(scenes)), torch.tensor(counts))
    if not valid.all():
        all_points, all_targets, room = all_points[valid], all_targets[valid], room[valid]
    if len(all_points) == 0:
        raise ValueError(f"{points}: no frame of {', '.join(splits)} with a valid target")
    return Pairs(
        all_points.to(device),
        all_targets.to(device),
        room.to(device),
        tuple(scene_id for scene_id, _ in scenes),
        int((~valid).sum()),
    )


def _matching_scenes(points: Path, store: Path, splits: Sequence[str]) -> list[tuple[str, int]]:
    """Scene ids and numbers of rows; every scene of the points must have its targets."""
    scenes = []
    for scene_id in list_scenes(points):
        card = scene_card(points, scene_id)
        assert card is not None
        if card.inputs["split"] not in splits:
            continue
        of = scene_card(store, scene_id)
        if of is None:
            raise CardError(
                f"{store}: {scene_id} is missing, though {points} has it; run teacher-cache again"
            )
        if of.inputs["frames"] != card.fingerprint:
            raise CardError(
                f"{scene_id}: its targets were made from frames {of.inputs['frames']}, its points "
                f"are {card.fingerprint}; run teacher-cache again"
            )
        scenes.append((scene_id, card.counts["statuses"].get("kept", 0)))
    if not scenes:
        raise ValueError(f"{points}: no scene of {', '.join(splits)}; run extract first")
    return scenes
