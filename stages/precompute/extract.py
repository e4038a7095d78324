"""Stage one, first half: every 25th RGB-D frame of each `.sens` to points and a manifest.

The unit of work, of writing, of resuming and of locking is the scene. Its points are committed
last, and their card says that the scene is complete.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cache.card import Card, CardError, JsonDict, differences
from cache.commit import LockedError, commit, lock, partial_path, remove, sweep
from cache.frames import KEPT, FramesWriter
from cache.points import (
    MAX_COORDINATE_M,
    SCHEMA_VERSION,
    PointsWriter,
    create_store,
    list_scenes,
    points_card,
)
from stages.precompute.backproject import back_project, depth_limit, draw_pixels, repeat_to
from stages.progress import Progress
from stages.settings import Settings
from stages.sources.scannet_layout import Scene
from stages.sources.sens import (
    SensError,
    SensFrame,
    SensFrameError,
    SensHeader,
    SensReader,
    check_color,
    decode_depth,
)
from stages.workers import Outcome, run_all

KIND = "extracted scene"
TOO_FEW = "too_few_valid_pixels"
BYTES_PER_POINT = 6  # three int16


class ExtractConfig(Settings):
    """What is taken from each recording. Defaults are the paper's, or ours where it is silent."""

    splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val")
    stride_frames: int = Field(25, ge=1)
    points_per_frame: int = Field(16_384, ge=1)
    min_valid_pixels: int = Field(4_096, ge=1)
    max_depth_m: float = Field(20.0, gt=0, le=MAX_COORDINATE_M)
    seed: int = Field(0, ge=0)

    def content(self) -> JsonDict:
        """The part that changes what is written for a scene; which scenes is not."""
        return self.model_dump(mode="json", exclude={"splits"})


@dataclass(frozen=True)
class SceneJob:
    """One scene, and where it goes."""

    scene: Scene
    config: ExtractConfig
    frames: Path
    points: Path
    overwrite: bool
    wait: bool = False


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
    shard: tuple[int, int] = (0, 1),
    workers: int = 1,
    overwrite: bool = False,
) -> ExtractReport:
    """Extract the scenes that are not complete into `frames/` and the Zarr group `points`.

    `shard` (i, n) takes every n-th of the sorted scenes from the i-th. Scenes that were extracted
    with another configuration are refused with a CardError, or replaced with `overwrite`.
    """
    _refuse_other_configuration(config, points, {s.scene_id for s in scenes}, overwrite)
    with lock(frames / ".locks" / points.name, wait=True):
        create_store(points)
    mine = sorted(scenes, key=lambda scene: scene.scene_id)[shard[0] :: shard[1]]
    report, jobs = ExtractReport(), []
    for scene in mine:
        job = SceneJob(scene, config, frames, points, overwrite)
        try:
            card = _complete_card(job)
            if card is None:
                jobs.append(job)
            else:
                report.complete_before += 1
                report.add(scene.scene_id, card)
        except CardError as error:
            report.failed[scene.scene_id] = str(error)
    # Largest first, so that no worker is left alone with a long scene at the end.
    jobs.sort(key=lambda job: -job.scene.size_bytes)
    total = sum(_count_samples(job) for job in jobs)
    with Progress("extract", total, "frames") as progress:
        _warn_of_little_space(jobs, total, progress)
        _run_jobs(jobs, workers, report, progress)
    for folder in (frames, points):
        sweep(folder)
    return report


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
        progress.note(f"{scene_id}: failed: {outcome.error}")
        return
    assert outcome.result is not None
    report.extracted += 1
    report.add(scene_id, outcome.result)
    if scene_id in report.damaged:
        progress.note(f"{scene_id}: not whole: {report.damaged[scene_id]}")


def extract_scene(job: SceneJob, advance: Callable[[int], None]) -> Card | None:
    """Extract one scene and return its card; None if another process is writing it."""
    lock_file = job.frames / ".locks" / job.scene.scene_id
    try:
        with lock(lock_file, wait=job.wait):
            # Another process may have been faster.
            return _complete_card(job) or _extract_locked(job, advance)
    except LockedError:
        return None


def _extract_locked(job: SceneJob, advance: Callable[[int], None]) -> Card:
    scene_id, config = job.scene.scene_id, job.config
    frames_file = frames_path(job.frames, scene_id)
    points_path = job.points / scene_id
    with (
        partial_path(frames_file) as new_frames,
        partial_path(points_path) as new_points,
        SensReader(job.scene.sens) as sens,
    ):
        statuses: Counter[str] = Counter()
        writer = PointsWriter(
            new_points,
            points_per_frame=config.points_per_frame,
            max_frames=_num_samples(sens, config.stride_frames),
        )
        with FramesWriter(new_frames) as manifest:
            for row, points in _sampled_frames(sens, job, advance):
                if points is not None:
                    row["row"] = writer.num_frames
                    writer.append(points)
                manifest.append(row)
                statuses[row["status"]] += 1
            if sens.damage and not sens.num_whole_frames:
                raise SensError(f"{job.scene.sens}: no whole frame: {sens.damage}")
            card = _card(job, sens, statuses)
            manifest.finish(card)
        writer.finish(card)
        remove(points_path)  # from here until the last commit the scene counts as incomplete
        commit(new_frames, frames_file)
        commit(new_points, points_path)
    return card


def frames_path(frames: Path, scene_id: str) -> Path:
    """Where one scene's manifest lies."""
    return frames / f"{scene_id}.parquet"


def _sampled_frames(
    sens: SensReader, job: SceneJob, advance: Callable[[int], None]
) -> Iterator[tuple[dict[str, Any], NDArray[np.floating[Any]] | None]]:
    """Yield (manifest row, points (P, 3) in metres or None) of each sampled frame."""
    header, config, scene = sens.header, job.config, job.scene
    intrinsics = header.depth_intrinsics[:3, :3].astype(np.float64)
    limit = depth_limit(
        intrinsics,
        header.depth_size,
        depth_shift=header.depth_shift,
        max_depth_m=config.max_depth_m,
        max_coordinate_m=MAX_COORDINATE_M,
    )
    draw = partial(_draw_points, config, header, intrinsics)
    constants = _scene_columns(scene, header)
    sampled = (frame for frame in sens.walk() if frame.index % config.stride_frames == 0)
    for done, frame in enumerate(sampled, start=1):
        row = {**constants, **_frame_columns(frame)}
        points = None
        try:
            color, depth_bytes = sens.payload(frame)
            check_color(color, header)
            depth = decode_depth(depth_bytes, header)
            usable = (depth > 0) & (depth <= limit)
            row["num_valid_depth"] = int(np.count_nonzero(usable))
            row["num_too_far"] = int(np.count_nonzero(depth)) - row["num_valid_depth"]
            if row["num_valid_depth"] < config.min_valid_pixels:
                raise SensFrameError(TOO_FEW, f"{row['num_valid_depth']} valid pixels")
            points = draw(depth, usable, frame_generator(config.seed, scene.scene_id, frame.index))
            suffix = "jpg" if header.color_compression == "jpeg" else "png"
            path = f"{scene.scene_id}/{frame.index:06d}.{suffix}"
            row["image"] = {"bytes": color, "path": path}
            row["status"] = KEPT
        except SensFrameError as error:
            row["status"] = error.reason
        yield row, points
        advance(done)


def _draw_points(
    config: ExtractConfig,
    header: SensHeader,
    intrinsics: NDArray[np.float64],
    depth: NDArray[np.uint16],
    usable: NDArray[np.bool_],
    generator: np.random.Generator,
) -> NDArray[np.floating[Any]]:
    """Draw pixels first and back-project those alone: (P, 3) metres, camera frame."""
    drawn = draw_pixels(usable, config.points_per_frame, generator)
    points = back_project(depth * drawn, intrinsics, depth_shift=header.depth_shift)
    return repeat_to(points, config.points_per_frame, generator)


def frame_generator(seed: int, scene_id: str, frame_index: int) -> np.random.Generator:
    """The generator of one frame, independent of which other frames are drawn."""
    scene = int.from_bytes(hashlib.sha256(scene_id.encode()).digest()[:8], "little")
    return np.random.default_rng([seed, scene, frame_index])


def _scene_columns(scene: Scene, header: SensHeader) -> dict[str, Any]:
    return {
        "scene_id": scene.scene_id,
        "split": scene.split,
        "depth_intrinsics": header.depth_intrinsics[:3, :3].ravel(),
        "color_intrinsics": header.color_intrinsics[:3, :3].ravel(),
        "depth_to_color": header.depth_extrinsics.ravel(),
        "depth_size": header.depth_size,
        "color_size": header.color_size,
        "row": None,
        "num_valid_depth": None,
        "num_too_far": None,
        "image": None,
    }


def _frame_columns(frame: SensFrame) -> dict[str, Any]:
    return {
        "frame_index": frame.index,
        "timestamp_color": frame.timestamp_color,
        "timestamp_depth": frame.timestamp_depth,
        "camera_to_world": frame.camera_to_world.ravel(),
        "pose_valid": frame.pose_valid,
    }


def _card(job: SceneJob, sens: SensReader, statuses: Counter[str]) -> Card:
    return Card(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        config=job.config.content(),
        inputs=_inputs(job.scene),
        counts={
            "frames_in_header": sens.header.num_frames,
            "frames_whole": sens.num_whole_frames,
            "frames_sampled": statuses.total(),
            "statuses": dict(sorted(statuses.items())),
        },
        details={"headers_sha256": sens.headers_sha256, "damage": sens.damage},
    )


def _inputs(scene: Scene) -> JsonDict:
    return {"scene_id": scene.scene_id, "split": scene.split, "sens_bytes": scene.size_bytes}


def _complete_card(job: SceneJob) -> Card | None:
    """Return the card of a scene that is there already. Opens one small file, never the `.sens`.

    Raises CardError if it was made from another input, unless it may be overwritten.
    """
    scene = job.scene
    card = points_card(job.points, scene.scene_id)
    if card is None or not frames_path(job.frames, scene.scene_id).is_file():
        return None
    wanted = Card(KIND, SCHEMA_VERSION, job.config.content(), _inputs(scene))
    if card.fingerprint == wanted.fingerprint:
        return card
    if job.overwrite:
        return None
    there, asked = (
        {**c.config, **c.inputs, "schema_version": c.schema_version} for c in (card, wanted)
    )
    changes = differences(there, asked)
    raise CardError(
        f"{scene.scene_id} was extracted before, differently: {'; '.join(changes)}. "
        "Replace it with --overwrite, or choose another --workspace"
    )


def _refuse_other_configuration(
    config: ExtractConfig, points: Path, chosen: set[str], overwrite: bool
) -> None:
    """Raise CardError if the store would end up a mix of configurations."""
    wanted, changes = config.content(), []
    others = []
    for scene_id in list_scenes(points):
        card = points_card(points, scene_id)
        assert card is not None
        if card.config != wanted and not (overwrite and scene_id in chosen):
            others.append(scene_id)
            changes = differences(card.config, wanted)
    if others:
        left_out = "Those scenes are not in this run, so --overwrite would mix two configurations. "
        raise CardError(
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
            return _num_samples(sens, job.config.stride_frames)
    except (SensError, OSError):
        return 0


def _num_samples(sens: SensReader, stride_frames: int) -> int:
    """Sampled frames if the header is right, and never more than the file has room for."""
    room = sens.size_bytes // 96
    return -(-min(sens.header.num_frames, room) // stride_frames)
