"""Records a room as a `.sens`, as a hand-held RGB-D camera would, and what its pixels show beside it."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.geometry.meshes import Floats
from stages.sample.rendering.camera_path import walk
from stages.sample.rendering.render import (
    Camera,
    World,
    build_world,
    color_image,
    look,
    owners,
    sensed_depth,
)
from stages.sample.rooms.placing import Room
from stages.sample.things.labels import NUMBER_OF
from stages.sample.things.primitives import rotation
from stages.sources.sens_format import SensHeader
from stages.sources.sens_writer import LOST_POSE, RgbdFrame, intrinsic_matrix, write_sens

# Colour and depth of different sizes and fields of view, from one place: registered, as ScanNet's.
COLOR = Camera(133.0, 133.5, 88.3, 65.4, (176, 132))
DEPTH = Camera(126.0, 126.5, 79.6, 60.4, (160, 120))
DEPTH_SHIFT = 1000.0
FRAME_INTERVAL_US = 33_333
JPEG_QUALITY = 90
LOST_CHANCE, LOST_FRAMES = 0.012, (3, 8)  # tracking is lost now and then, for some frames
EMPTY_CHANCE = 0.01  # and a depth image is empty


@dataclass(frozen=True)
class Stage:
    """A room ready to be recorded or scanned.

    `alignment` is the (4, 4) motion from the scanner's frame to the room's, ScanNet's
    axisAlignment: a turn about z and a shift, since a scanner starts anywhere.
    """

    room: Room
    world: World
    alignment: Floats


@dataclass(frozen=True)
class Shot:
    """One frame: colour (H, W, 3), the object each of its pixels shows (H, W), and the pose."""

    color: NDArray[np.uint8]
    owner: NDArray[np.int64]
    camera_to_room: Floats


def set_up(room: Room, generator: np.random.Generator) -> Stage:
    """Hang up a lamp and choose where the scanner's frame lies."""
    share = (*generator.uniform(0.35, 0.65, 2), 0.96)
    world = build_world([placed.parts for placed in room.objects], room.size * share)
    alignment = rotation("z", float(generator.uniform(-180, 180)))
    alignment[:3, 3] = (*generator.uniform(-2, 2, 2), generator.uniform(-0.1, 0.1))
    return Stage(room, world, alignment)


def shots(stage: Stage, num_frames: int, generator: np.random.Generator) -> Iterator[Shot]:
    """Walk through the room and yield what the colour camera sees."""
    for pose in walk(stage.room, num_frames, generator):
        view = look(stage.world, COLOR, pose)
        yield Shot(color_image(stage.world, view), owners(stage.world, view), pose)


def record(stage: Stage, path: Path, num_frames: int, generator: np.random.Generator) -> None:
    """Write a `.sens` of this many frames, some without a pose, some without depth.

    Beside it `<scene>_2d-label-filt.zip`, as ScanNet's release has it: a label's id for each pixel.
    """
    to_scanner = np.linalg.inv(stage.alignment)
    lost_left = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    archive = path.with_name(f"{path.stem}_2d-label-filt.zip")
    with write_sens(path, _header()) as sens, zipfile.ZipFile(archive, "w") as labels:
        for index, shot in enumerate(shots(stage, num_frames, generator)):
            # Of a fixed date, so that the same world is the same bytes.
            name = zipfile.ZipInfo(f"label-filt/{index}.png")
            labels.writestr(name, _label_image(stage, shot.owner))
            if lost_left == 0 and generator.random() < LOST_CHANCE:
                lost_left = int(generator.integers(*LOST_FRAMES))
            lost, lost_left = lost_left > 0, max(0, lost_left - 1)
            depth = _sense(stage, shot.camera_to_room, generator)
            pose = to_scanner @ shot.camera_to_room
            time_us = index * FRAME_INTERVAL_US
            sens.append(
                RgbdFrame(
                    color=encode(shot.color),
                    depth=depth,
                    camera_to_world=LOST_POSE if lost else pose.astype(np.float32),
                    timestamp_color=time_us,
                    timestamp_depth=time_us,
                )
            )


def encode(color: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) RGB as JPEG."""
    options = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
    done, encoded = cv2.imencode(".jpg", color[..., ::-1], options)
    assert done
    return encoded.tobytes()


def _label_image(stage: Stage, owner: NDArray[np.int64]) -> bytes:
    """The label's id of each pixel, 0 where there is nothing, as a PNG of 16 bits."""
    # The last one is met by -1.
    numbers = np.array([*(NUMBER_OF[placed.label] for placed in stage.room.objects), 0], np.uint16)
    done, encoded = cv2.imencode(".png", numbers[owner])
    assert done
    return encoded.tobytes()


def _sense(stage: Stage, pose: Floats, generator: np.random.Generator) -> NDArray[np.uint16]:
    view = look(stage.world, DEPTH, pose)
    depth = sensed_depth(stage.world, view, generator, depth_shift=DEPTH_SHIFT)
    return np.zeros_like(depth) if generator.random() < EMPTY_CHANCE else depth


def _header() -> SensHeader:
    identity = np.eye(4, dtype=np.float32)
    return SensHeader(
        sensor_name="distill3d sample world (synthetic)",
        color_intrinsics=intrinsic_matrix(COLOR.fx, COLOR.fy, COLOR.cx, COLOR.cy),
        color_extrinsics=identity,
        depth_intrinsics=intrinsic_matrix(DEPTH.fx, DEPTH.fy, DEPTH.cx, DEPTH.cy),
        depth_extrinsics=identity,
        color_compression="jpeg",
        depth_compression="zlib_ushort",
        color_size=COLOR.size,
        depth_size=DEPTH.size,
        depth_shift=DEPTH_SHIFT,
        num_frames=0,
    )
