"""Pre-training: the student learns the cached prefixes from the points alone.

One step of it: stored points in metres, turned or cut as asked, 4096 drawn, normalised, scaled and
shifted; the prediction beside the teacher's prefix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from cache.card import Card, fingerprint
from cache.prefixes import store_identity
from cache.scene_group import list_scenes, scene_card
from stages.normalise import Normalisation, normalise
from stages.progress import Progress
from stages.settings import Settings
from stages.training.augment import (
    SCALE,
    TRANSLATION,
    draw_points,
    scale_and_translate,
)
from stages.training.draws import Draws, plain_draws, seed_of
from stages.training.learner import LoopConfig
from stages.training.loop import Outcome, train
from stages.training.networks.cloud_input import CloudInput
from stages.training.networks.encoder import EncoderShape
from stages.training.networks.student import Student, StudentShape
from stages.training.objectives import (
    Loss,
    Target,
    chance,
    compared,
    distillation_loss,
    r_squared,
    r_squared_name,
    retrieval,
)
from stages.training.pairs import Pairs, load_pairs
from stages.training.plain_features import geometric_features, ridge_prediction
from stages.training.processes import Processes, joined
from stages.training.run_folder import RunFolder
from stages.training.speed import ask_for_patience
from stages.training.task import Task, Terms
from stages.training.upright import Up, warn_if_not_level
from stages.training.views import Views, load_views

KIND, SCHEMA_VERSION = "pre-training", 2
RETRIEVED = (1, 5)
RIDGE_ROWS = 20_000  # more rows than these change nothing
ROWS_AT_A_TIME = 256


class PretrainConfig(Settings):
    """What is learned, by whom, from what. Defaults are the paper's."""

    name: str = Field("distill", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    teacher: str = "clipcap"  # whose prefixes, by the name of its store
    splits: tuple[str, ...] = ("train",)
    held_splits: tuple[str, ...] = ("val",)  # for the validation loss; none if empty
    encoder: EncoderShape = EncoderShape()
    num_concepts: int = Field(32, ge=1)
    head: Literal["flatten", "mixer"] = "flatten"
    num_points: int = Field(4096, ge=32)
    norm_input: Normalisation = "unit_sphere"
    frame: Literal["camera", "gravity"] = "camera"
    # Of gravity: the axis that is up in the world of the poses. ScanNet's is z; 7-Scenes has none.
    up: Up = "z"
    points: Literal["all", "in_view"] = "all"  # in_view: only what the teacher's crop shows
    scale: tuple[float, float] = SCALE
    translation: float = Field(TRANSLATION, ge=0)
    loss: Loss = "mse"
    target_norm: Literal["none", "standardize"] = "none"
    training: LoopConfig = LoopConfig()

    @field_validator("num_points")
    @classmethod
    def _points_fill_patches(cls, num_points: int, info: ValidationInfo) -> int:
        if "encoder" in info.data:
            info.data["encoder"].check_points(num_points)
        return num_points


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


def run(
    config: PretrainConfig,
    *,
    frames: Path,
    points: Path,
    store: Path,
    out: Path,
    device: torch.device,
    overwrite: bool = False,
    stop_after_epoch: int | None = None,
    patient: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome | None:
    """Pre-train a student in the folder `out`; None if it was finished there before.

    Goes on where a stopped run stands. Under torchrun all processes share each batch. Raises
    CardError if frames, points and prefixes do not belong together, and ValueError if it would take
    longer than half a day on a CPU and `patient` is false. `say` is told what looks wrong in the data.
    """
    inputs = {"points": _inputs(points, config), "teacher": fingerprint(store_identity(store))}
    card = Card(KIND, SCHEMA_VERSION, config.model_dump(mode="json"), inputs)
    folder = RunFolder(out, card, overwrite=overwrite)
    with joined(device) as processes, folder.opened(processes):
        if folder.is_finished:
            return None
        if config.loss == "infonce" and processes.count * config.training.accumulate > 1:
            raise ValueError(
                "pretrain.loss = infonce tells each cloud from all others of the batch, so the batch "
                "cannot be split: use one process, and pretrain.training.accumulate=1"
            )
        quiet = not processes.is_first
        task, held = _task(
            config, frames, points, store, device, (lambda _: None) if quiet else say
        )
        if not patient:
            ask_for_patience(task, config.training, device)
        outcome = train(
            task,
            config.training,
            folder,
            device=device,
            processes=processes,
            stop_after_epoch=stop_after_epoch,
        )
        if outcome.finished and processes.is_first:
            bars = held.bars() if held else {}
            _write_result(folder, outcome, bars, processes)
    return outcome


def _task(
    config: PretrainConfig,
    frames: Path,
    points: Path,
    store: Path,
    device: torch.device,
    say: Callable[[str], None],
) -> tuple[Task, "Held | None"]:
    clouds = _load(
        config, config.splits, frames, points, store, device, "training pairs",
        '; or learn from others: --set "pretrain.splits=[SPLIT]"',
    )  # fmt: skip
    if clouds.views and config.frame == "gravity":
        warn_if_not_level(clouds.pairs, clouds.views.camera_to_world, config.up, say)
    statistics = clouds.pairs.target_statistics()
    held: Held | None = None
    if config.held_splits:
        others = _load(
            config, config.held_splits, frames, points, store, device, "held pairs",
            '; or validate on none: --set "pretrain.held_splits=[]"',
        )  # fmt: skip
        held = Held(config, clouds, others, statistics)
    length, width = clouds.pairs.targets.shape[1:]
    shape = StudentShape(
        encoder=config.encoder,
        target=(length, width),
        num_concepts=config.num_concepts,
        head=config.head,
    )
    torch.manual_seed(config.training.seed)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        target = _aimed_at(config, clouds.pairs.target(rows), statistics)
        prediction, patches = model(clouds.augmented(rows, draws))
        loss = distillation_loss(prediction, target, config.loss)
        return Terms(loss, {"patch_coverage": patches.coverage(config.num_points).mean()})

    model = Student(shape)
    if config.target_norm == "standardize":
        model.target_mean.copy_(statistics.mean)
        model.target_std.copy_(statistics.std)
    task = Task(
        model=model,
        about={
            "kind": "student",
            "shape": shape.model_dump(mode="json"),
            "input": CloudInput(
                num_points=config.num_points, normalisation=config.norm_input, frame=config.frame
            ).model_dump(mode="json"),
        },
        num_rows=len(clouds.pairs),
        losses=losses,
        inputs=lambda rows: {
            "points": clouds.pairs.metres(rows),
            "target": clouds.pairs.target(rows),
        },
        evaluate=held.evaluate if held else None,
        headline="val_loss",
        larger_is_better=False,
    )
    return task, held


def _load(
    config: PretrainConfig,
    splits: tuple[str, ...],
    frames: Path,
    points: Path,
    store: Path,
    device: torch.device,
    what: str,
    instead: str = "",
) -> Clouds:
    with Progress(f"reading {what}", len(list_scenes(points)), "scenes") as progress:
        pairs = load_pairs(points, store, splits, device, advance=progress.update, instead=instead)
    if config.frame == "camera" and config.points == "all":
        return Clouds(config, pairs, None)
    crop = store_identity(store)["identity"]["preprocessing"]["crop"]
    views = load_views(frames, pairs, crop, config.up)
    if config.frame == "gravity":
        if not views.pose_valid.any():
            raise ValueError(
                f"{points}: none of the {len(pairs)} frames of {', '.join(splits)} has a pose, and "
                "pretrain.frame=gravity turns them by it; use pretrain.frame=camera, or extract "
                "recordings with poses"
            )
        pairs, views = pairs.only(views.pose_valid), views.only(views.pose_valid)
    return Clouds(config, pairs, views.to(device))


def _aimed_at(config: PretrainConfig, target: Tensor, statistics: Target) -> Tensor:
    return statistics.standardised(target) if config.target_norm == "standardize" else target


@dataclass(frozen=True)
class Held:
    """Frames of rooms that the student does not learn from, and what is measured on them."""

    config: PretrainConfig
    train: Clouds
    held: Clouds
    statistics: Target

    @cached_property
    def mean(self) -> Tensor:
        """What a student would say that knows no cloud: the mean (L, D) of what is compared in training."""
        rows = torch.arange(len(self.train.pairs)).split(ROWS_AT_A_TIME)
        parts = (self._compared(self.train.pairs.target(part)).double().sum(dim=0) for part in rows)
        return sum(parts, torch.zeros(())) / len(self.train.pairs)

    def _compared(self, target: Tensor) -> Tensor:
        return compared(_aimed_at(self.config, target, self.statistics), self.config.loss)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Loss, R2 against the training mean, and retrieval of the own frame beside chance."""
        predicted = torch.cat([model(self.held.plain(rows))[0].float() for rows in self._parts()])
        return self.measures(predicted)

    def measures(self, predicted: Tensor) -> dict[str, float]:
        """Measure predictions (N, L, D), in the space of the loss and of what it compares."""
        pairs, config = self.held.pairs, self.config
        raw = torch.cat([pairs.target(rows) for rows in self._parts()])
        target = _aimed_at(config, raw, self.statistics)
        parts = zip(
            predicted.split(config.training.batch), target.split(config.training.batch), strict=True
        )
        loss = sum(distillation_loss(p, t, config.loss).item() * len(p) for p, t in parts)
        predicted, target = compared(predicted, config.loss), compared(target, config.loss)
        room = pairs.room.to(predicted.device)
        found = retrieval(predicted, target, room, RETRIEVED)
        return {
            "val_loss": loss / len(target),
            r_squared_name(config.loss): r_squared(predicted, target, self.mean),
            **{f"val_top{k}": share for k, share in found.items()},
            **{f"chance_top{k}": chance(room, k) for k in RETRIEVED},
        }

    def bars(self) -> dict[str, float]:
        """Measure what a ridge regression from plain features of the clouds predicts."""
        features = self.train.features()
        rows = torch.arange(len(features))
        target = _aimed_at(self.config, self.train.pairs.target(rows), self.statistics)
        predicted = ridge_prediction(
            features,
            lambda part: target[part].flatten(1),
            self.held.features(),
        )
        found = self.measures(predicted.float().view(-1, *target.shape[1:]))
        return {f"ridge_{key}": value for key, value in found.items() if key.startswith("val_")}

    def _parts(self) -> tuple[Tensor, ...]:
        return torch.arange(len(self.held.pairs)).split(self.config.training.batch)


def _inputs(points: Path, config: PretrainConfig) -> str:
    """A fingerprint of all scenes that are read."""
    splits = {*config.splits, *config.held_splits}
    cards = {scene_id: scene_card(points, scene_id) for scene_id in list_scenes(points)}
    return fingerprint(
        {
            scene_id: card.fingerprint
            for scene_id, card in cards.items()
            if card is not None and card.inputs["split"] in splits
        }
    )


def _write_result(
    folder: RunFolder, outcome: Outcome, bars: dict[str, float], processes: Processes
) -> None:
    result: dict[str, Any] = {
        "run": folder.card.to_dict(),
        "last": outcome.metrics,
        "best": outcome.best,
        "bars": bars,
        "processes": processes.count,
    }
    folder.write_result(result)
