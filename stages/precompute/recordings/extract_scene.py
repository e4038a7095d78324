"""One scene's part of `extract`: its `.sens` to a manifest and points, written beside, then renamed.

The points are committed last: their card says that the scene is complete.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cache.card import Card, CardError, JsonDict, OtherConfigurationError, differences
from cache.commit import LockedError, commit, lock, partial_path, remove
from cache.frames import KEPT, FramesWriter, frames_card, frames_path
from cache.points import (
    MAX_COORDINATE_M,
    MAX_POINTS_PER_FRAME,
    SCHEMA_VERSION,
    PointsWriter,
)
from cache.scene_group import missing_chunks, scene_card
from stages.precompute.recordings.backproject import (
    back_project,
    depth_limit,
    draw_pixels,
    repeat_to,
)
from stages.settings import Settings
from stages.sources.scannet_layout import Scene
from stages.sources.sens import SensReader, check_color, decode_depth
from stages.sources.sens_format import SensError, SensFrame, SensFrameError, SensHeader

KIND = "extracted scene"
TOO_FEW = "too_few_valid_pixels"


class ExtractConfig(Settings):
    """What is taken from each recording. Defaults are the paper's, or ours where it is silent."""

    splits: tuple[Literal["train", "val", "test"], ...] = Field(("train", "val"), min_length=1)
    stride_frames: int = Field(25, ge=1)
    points_per_frame: int = Field(16_384, ge=1, le=MAX_POINTS_PER_FRAME)
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


def extract_scene(job: SceneJob, advance: Callable[[int], None]) -> Card | None:
    """Extract one scene and return its card; None if another process is writing it."""
    lock_file = job.frames / ".locks" / job.scene.scene_id
    try:
        with lock(lock_file, wait=job.wait):
            # Another process may have been faster.
            return complete_card(job) or _extract_locked(job, advance)
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
            max_frames=num_samples(sens, config.stride_frames),
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


def complete_card(job: SceneJob) -> Card | None:
    """Return the card of a scene that is there already, whole; None if it is to be (re)written.

    Opens small parts of small files, never the `.sens`. Raises OtherConfigurationError if the scene
    was made from another input or configuration, unless it may be overwritten.
    """
    scene = job.scene
    card = scene_card(job.points, scene.scene_id)
    if card is None or not _is_whole(job, card):
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
    raise OtherConfigurationError(
        f"{scene.scene_id} was extracted before, differently: {'; '.join(changes)}. "
        "Replace it with --overwrite, or choose another --workspace"
    )


def _is_whole(job: SceneJob, card: Card) -> bool:
    """True if the manifest ends as it should and is of the same run, and no chunk is missing."""
    try:
        same_run = frames_card(frames_path(job.frames, job.scene.scene_id)) == card
    except CardError:
        return False
    return same_run and not missing_chunks(job.points / job.scene.scene_id)


def num_samples(sens: SensReader, stride_frames: int) -> int:
    """Sampled frames if the header is right, and never more than the file has room for."""
    room = sens.size_bytes // 96
    return -(-min(sens.header.num_frames, room) // stride_frames)
