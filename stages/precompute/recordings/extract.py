"""Stage one, first half: every 25th RGB-D frame of each `.sens` to points and a manifest.

The unit of work, of writing, of resuming and of locking is the scene. Its points are committed
last, and their card says that the scene is complete.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from cache.card import Card, CardError, OtherConfigurationError, differences
from cache.commit import claim, lock, sweep
from cache.frames import KEPT
from cache.points import create_store
from cache.scene_group import list_scenes, scene_card
from stages.machine.progress import Progress
from stages.machine.shares import WHOLE, Share
from stages.machine.workers import Outcome, run_all
from stages.precompute.recordings.extract_scene import (
    ExtractConfig,
    SceneJob,
    complete_card,
    extract_scene,
    num_samples,
)
from stages.sources.scannet_layout import Scene
from stages.sources.sens import SensReader
from stages.sources.sens_format import SensError

BYTES_PER_POINT = 6  # three int16


@dataclass
class ExtractReport:
    """The state of the chosen scenes after a run: what it did, and what was there before."""

    complete_before: int = 0
    extracted: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    traces: list[str] = field(default_factory=list)

    def add(self, scene_id: str, card: Card) -> None:
        """Count one complete scene's frames."""
        self.statuses.update(card.counts["statuses"])
        if card.details["damage"]:
            self.damaged[scene_id] = card.details["damage"]

    @property
    def skipped_anything(self) -> bool:
        """True if a frame was rejected or a scene failed or was not whole."""
        return bool(self.failed or self.damaged or set(self.statuses) - {KEPT})


def run(
    config: ExtractConfig,
    *,
    scenes: Sequence[Scene],
    frames: Path,
    points: Path,
    shard: Share = WHOLE,
    workers: int = 1,
    overwrite: bool = False,
) -> ExtractReport:
    """Extract the scenes that are not complete into `frames/` and the Zarr group `points`.

    `shard` is the share of them that is taken. Scenes that were extracted with another configuration
    are refused with an OtherConfigurationError, or replaced with `overwrite`.
    """
    with ExitStack() as running:
        with lock(frames / ".locks" / points.name, wait=True):
            _refuse_other_configuration(config, points, {s.scene_id for s in scenes}, overwrite)
            claimed = claim(frames / ".locks" / f"{points.name}.running", config.content())
            running.enter_context(claimed)
            create_store(points)
        report, jobs = _plan(config, share(scenes, shard), frames, points, overwrite)
        total = sum(_count_samples(job) for job in jobs)
        with Progress("extract", total, "frames") as progress:
            _warn_of_little_space(jobs, total, progress)
            _run_jobs(jobs, workers, report, progress)
    for folder in (frames, points):
        sweep(folder)
    return report


def share(scenes: Sequence[Scene], shard: Share) -> list[Scene]:
    """Return the part of the scenes that a shard takes, by their ids."""
    return shard.of(sorted(scenes, key=lambda scene: scene.scene_id))


def _plan(
    config: ExtractConfig, scenes: Sequence[Scene], frames: Path, points: Path, overwrite: bool
) -> tuple[ExtractReport, list[SceneJob]]:
    """Count what is complete, refuse what was made from another input, and list the rest."""
    report, jobs = ExtractReport(), []
    for scene in scenes:
        if scene.problem:
            report.failed[scene.scene_id] = scene.problem
            continue
        job = SceneJob(scene, config, frames, points, overwrite)
        try:
            card = complete_card(job)
            if card is None:
                jobs.append(job)
            else:
                report.complete_before += 1
                report.add(scene.scene_id, card)
        except CardError as error:
            report.failed[scene.scene_id] = str(error)
    # Largest first, so that no worker is left alone with a long scene at the end.
    return report, sorted(jobs, key=lambda job: -job.scene.size_bytes)


def _run_jobs(
    jobs: list[SceneJob], workers: int, report: ExtractReport, progress: Progress
) -> None:
    """Run all jobs; those whose scene another process is writing come last, and wait for it."""
    busy: list[SceneJob] = []
    for outcome in run_all(extract_scene, jobs, workers=workers, update=progress.update):
        if outcome.result is None and outcome.error is None:
            busy.append(outcome.job)
        else:
            _record(outcome, report, progress)
    for job in busy:
        progress.note(f"{job.scene.scene_id}: waiting for the process that is writing it")
        waiting = SceneJob(job.scene, job.config, job.frames, job.points, job.overwrite, wait=True)
        for outcome in run_all(extract_scene, [waiting], workers=1, update=lambda _: None):
            _record(outcome, report, progress)


def _record(
    outcome: Outcome[SceneJob, Card | None], report: ExtractReport, progress: Progress
) -> None:
    scene_id = outcome.job.scene.scene_id
    if outcome.error is not None:
        report.failed[scene_id] = outcome.error
        report.traces.append(outcome.trace)
        progress.note(f"{scene_id}: failed (why is said at the end)")
        return
    assert outcome.result is not None
    report.extracted += 1
    report.add(scene_id, outcome.result)
    if scene_id in report.damaged:
        progress.note(f"{scene_id}: not whole: {report.damaged[scene_id]}")


def _refuse_other_configuration(
    config: ExtractConfig, points: Path, chosen: set[str], overwrite: bool
) -> None:
    """Raise OtherConfigurationError if the store would end up a mix of configurations."""
    wanted, changes = config.content(), []
    others = []
    for scene_id in list_scenes(points):
        card = scene_card(points, scene_id)
        assert card is not None
        if card.config != wanted and not (overwrite and scene_id in chosen):
            others.append(scene_id)
            changes = differences(card.config, wanted)
    if others:
        left_out = "Those scenes are not in this run, so --overwrite would mix two configurations. "
        raise OtherConfigurationError(
            f"{points}: {len(others)} scenes ({others[0]}, ...) were extracted with another "
            f"configuration: {'; '.join(changes)}. {left_out if overwrite else ''}"
            f"{'Use' if overwrite else 'Replace them with --overwrite, or use'} another --workspace"
        )


def _warn_of_little_space(jobs: Sequence[SceneJob], num_frames: int, progress: Progress) -> None:
    """Say so if what is written, at most every sampled frame's payload and points, may not fit."""
    if not jobs:
        return
    config = jobs[0].config
    payloads = sum(job.scene.size_bytes for job in jobs) / config.stride_frames
    most = payloads + num_frames * config.points_per_frame * BYTES_PER_POINT
    free = shutil.disk_usage(jobs[0].points).free
    if most > free:
        progress.note(
            f"disk: at most {most / 1e9:.1f} GB will be written, {free / 1e9:.1f} GB are free"
        )


def _count_samples(job: SceneJob) -> int:
    """How many frames a job will sample, for the progress bar; 0 if its file cannot be read."""
    try:
        with SensReader(job.scene.sens) as sens:
            return num_samples(sens, job.config.stride_frames)
    except (SensError, OSError):
        return 0
