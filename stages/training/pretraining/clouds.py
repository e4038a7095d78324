"""Clouds as a step sees them: drawn, turned, normalised, augmented."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cache.prefixes import identity_of
from cache.scene_group import Listing
from stages.geometry.normalise import normalise
from stages.geometry.teacher_window import Crop
from stages.loop.random_numbers import Draws, plain_draws, seed_of
from stages.machine.progress import Progress
from stages.training.augment import (
    draw_points,
    scale_and_translate,
)
from stages.training.pretraining.cameras import Views, load_views
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.objectives.objective import Batch
from stages.training.pretraining.pairs import Pairs, load_pairs
from stages.training.pretraining.ridge import geometric_features

RIDGE_ROWS = 20_000  # more rows than these change nothing
ROWS_AT_A_TIME = 256
NO_TEACHER_SIZE = 224  # of CLIP's window, where gravity is asked for and no teacher


@dataclass(frozen=True)
class Clouds:
    """Pairs, and how their points are given to the student."""

    config: PretrainConfig
    pairs: Pairs
    views: Views | None

    def augmented(self, rows: Tensor, draws: Draws) -> Batch:
        """Some training rows, as a step sees them."""
        metres, points = self._drawn(rows, draws)
        points = scale_and_translate(
            points, draws, scale=self.config.scale, translation=self.config.translation
        )
        return self._batch(rows, metres, points)

    def plain(self, rows: Tensor, seed: int = 0) -> Batch:
        """Some held rows, the same each time; of another seed other points of them."""
        draws = self.fixed_draws(rows, f"held {seed}" if seed else "held")
        return self._batch(rows, *self._drawn(rows, draws))

    def _batch(self, rows: Tensor, metres: Tensor, points: Tensor) -> Batch:
        targets = {name: self.pairs.target(name, rows) for name in self.pairs.targets}
        return Batch(rows, points, metres, targets, self.views)

    def _drawn(self, rows: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Points in the depth camera's metres, and turned and normalised, (B, N, 3) each."""
        metres = self.metres(rows, draws)
        return metres, normalise(self.turned(metres, rows), self.config.norm_input)

    def features(self, most: int | None = None) -> Tensor:
        """Plain features (N, 32) of the clouds, of the first `most` of them if there are more."""
        count = min(len(self.pairs), most or len(self.pairs))
        parts = torch.arange(count).split(ROWS_AT_A_TIME)
        found = []
        for rows in parts:
            metres = self.metres(rows, self.fixed_draws(rows))
            found.append(geometric_features(self.turned(metres, rows)))
        return torch.cat(found)

    def metres(self, rows: Tensor, draws: Draws) -> Tensor:
        """Points drawn of some rows, (B, N, 3) in the depth camera's frame, cut as configured."""
        points = self.pairs.metres(rows)
        wanted = None
        if self.views and self.config.points == "in_view":
            wanted = self.views.in_view(points, rows)
        return draw_points(points, self.config.num_points, draws, wanted=wanted)

    def turned(self, points: Tensor, rows: Tensor) -> Tensor:
        """The same points (B, N, 3) in the frame that is configured."""
        if self.views and self.config.frame == "gravity":
            return self.views.turn_upright(points, rows)
        return points

    def fixed_draws(self, rows: Tensor, what: str = "held") -> Draws:
        """The random numbers of some held rows for a purpose, the same each time."""
        return plain_draws(seed_of(what, int(rows[0])), len(rows), self.pairs.device)


@dataclass(frozen=True)
class Sources:
    """Where pairs are read from, listed once: manifests' folder, points, the teacher's; and to where."""

    frames: Path
    points: Listing
    teacher: Listing | None
    device: torch.device


def load_clouds(
    config: PretrainConfig,
    splits: tuple[str, ...],
    sources: Sources,
    *,
    what: str = "pairs",
    instead: str = "",
) -> Clouds:
    """Read the pairs of some splits, and where their cameras stood if that is needed.

    `what` is said meanwhile, `instead` where there is none: what else could be done. Raises
    CardError, ValueError.
    """
    points = sources.points
    with Progress(f"reading {what}", len(points.members), "scenes") as progress:
        pairs = load_pairs(
            points,
            sources.teacher,
            splits,
            sources.device,
            arrays=config.objective.arrays,
            advance=progress.update,
            instead=instead,
        )
    if not config.needs_cameras:
        return Clouds(config, pairs, None)
    crop: Crop = "center"
    size = NO_TEACHER_SIZE
    if sources.teacher:
        seen = identity_of(sources.teacher)["identity"]["preprocessing"]
        crop, size = seen["crop"], seen["size"]
    views = load_views(sources.frames, pairs, crop, size, config.up)
    if config.frame == "gravity":
        if not views.pose_valid.any():
            raise ValueError(
                f"{points.path}: none of the {len(pairs)} frames of {', '.join(splits)} has a pose, and "
                "pretrain.frame=gravity turns them by it; use pretrain.frame=camera, or extract "
                "recordings with poses"
            )
        pairs, views = pairs.only(views.pose_valid), views.only(views.pose_valid)
    return Clouds(config, pairs, views.to(sources.device))
