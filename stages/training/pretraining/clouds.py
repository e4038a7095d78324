"""Clouds as a step sees them: drawn, turned, normalised, augmented."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cache.prefixes import identity_of
from cache.scene_group import Listing
from stages.geometry.normalise import normalise
from stages.loop.random_numbers import Draws, plain_draws, seed_of
from stages.machine.progress import Progress
from stages.training.augment import (
    draw_points,
    scale_and_translate,
)
from stages.training.pretraining.cameras import Views, load_views
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.pairs import Pairs, load_pairs
from stages.training.pretraining.ridge import geometric_features

RIDGE_ROWS = 20_000  # more rows than these change nothing
ROWS_AT_A_TIME = 256


@dataclass(frozen=True)
class Clouds:
    """Pairs, and how their points are given to the student."""

    config: PretrainConfig
    pairs: Pairs
    views: Views | None

    def augmented(self, rows: Tensor, draws: Draws) -> Tensor:
        """The student's input of some training rows, (B, N, 3)."""
        points = normalise(self.metres(rows, draws), self.config.norm_input)
        return scale_and_translate(
            points, draws, scale=self.config.scale, translation=self.config.translation
        )

    def plain(self, rows: Tensor) -> Tensor:
        """The student's input of some held rows, (B, N, 3), the same each time."""
        return normalise(self.metres(rows, self._fixed(rows)), self.config.norm_input)

    def features(self) -> Tensor:
        """Plain features (N, 32) of the clouds, of so many that more would change nothing."""
        count = min(len(self.pairs), RIDGE_ROWS)
        parts = torch.arange(count).split(ROWS_AT_A_TIME)
        return torch.cat([geometric_features(self.metres(r, self._fixed(r))) for r in parts])

    def metres(self, rows: Tensor, draws: Draws) -> Tensor:
        """Points drawn of some rows, (B, N, 3), turned or cut as configured."""
        points = self.pairs.metres(rows)
        wanted = None
        if self.views and self.config.points == "in_view":
            wanted = self.views.in_view(points, rows)
        points = draw_points(points, self.config.num_points, draws, wanted=wanted)
        if self.views and self.config.frame == "gravity":
            points = self.views.turn_upright(points, rows)
        return points

    def _fixed(self, rows: Tensor) -> Draws:
        return plain_draws(seed_of("held", int(rows[0])), len(rows), self.pairs.device)


@dataclass(frozen=True)
class Sources:
    """Where pairs are read from, listed once: manifests' folder, points, prefixes; and to where."""

    frames: Path
    points: Listing
    prefixes: Listing
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
            sources.prefixes,
            splits,
            sources.device,
            advance=progress.update,
            instead=instead,
        )
    if config.frame == "camera" and config.points == "all":
        return Clouds(config, pairs, None)
    crop = identity_of(sources.prefixes)["identity"]["preprocessing"]["crop"]
    views = load_views(sources.frames, pairs, crop, config.up)
    if config.frame == "gravity":
        if not views.pose_valid.any():
            raise ValueError(
                f"{points.path}: none of the {len(pairs)} frames of {', '.join(splits)} has a pose, and "
                "pretrain.frame=gravity turns them by it; use pretrain.frame=camera, or extract "
                "recordings with poses"
            )
        pairs, views = pairs.only(views.pose_valid), views.only(views.pose_valid)
    return Clouds(config, pairs, views.to(sources.device))
