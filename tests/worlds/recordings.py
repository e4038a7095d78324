"""Small recordings in ScanNet's format, for tests and for `make demo`: rooms of plain boxes.

`python -m tests.worlds.recordings DIR` writes a folder laid out as ScanNet's release.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.sources.sens_format import SensHeader
from stages.sources.sens_writer import LOST_POSE, RgbdFrame, intrinsic_matrix, write_sens

DEPTH_SIZE, COLOR_SIZE = (160, 120), (320, 240)
DEPTH_INTRINSICS = intrinsic_matrix(144.0, 145.0, 79.5, 60.5)
COLOR_INTRINSICS = intrinsic_matrix(290.0, 288.0, 161.0, 119.0)
SHADES = np.array([0.75, 0.9, 1.0])  # of faces across x, y and z
SCENES = {"scene0000_00": "train", "scene0000_01": "train", "scene0001_00": "train",
          "scene0002_00": "val", "scene0003_00": "test"}  # fmt: skip


@dataclass(frozen=True)
class Room:
    """Boxes as (N, 2, 3) lowest and highest corners in metres, z up; the first is the room."""

    boxes: NDArray[np.float64]
    colors: NDArray[np.float64]


def make_room(generator: np.random.Generator) -> Room:
    """A room of about 4 x 5 x 2.5 m with a few boxes on its floor."""
    size = generator.uniform((3.5, 4.0, 2.4), (4.5, 5.5, 2.8))
    boxes = [[(0.0, 0.0, 0.0), tuple(size)]]
    for _ in range(6):
        extent = generator.uniform((0.3, 0.3, 0.4), (1.2, 1.2, 1.2))
        corner = np.append(generator.uniform((0, 0), size[:2] - extent[:2]), 0.0)
        boxes.append([tuple(corner), tuple(corner + extent)])
    return Room(np.array(boxes), generator.uniform(60, 240, (len(boxes), 3)))


def look_at(eye: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float32]:
    """Camera-to-world (4, 4) of an upright camera, OpenCV axes."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose.astype(np.float32)


def render(
    room: Room, pose: NDArray[np.float32], intrinsics: NDArray[np.float32], size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Cast a ray through each pixel: depth (H, W) metres along the axis, colour (H, W, 3)."""
    width, height = size
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    (fx, fy), (cx, cy) = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)])  # (3, H, W)
    directions = np.tensordot(pose[:3, :3].astype(np.float64), rays, axes=1)
    inverse = 1.0 / np.where(directions == 0, 1e-12, directions)
    depth = np.full((height, width), np.inf)
    color = np.zeros((height, width, 3), np.uint8)
    for number, corners in enumerate(room.boxes):
        first, second = (corners - pose[:3, 3])[..., None, None] * inverse  # (3, H, W) each
        near, far = np.minimum(first, second), np.maximum(first, second)
        enter, leave = near.max(0), far.min(0)
        inside = number == 0  # the room itself is seen from inside
        distance, axis = (leave, far.argmin(0)) if inside else (enter, near.argmax(0))
        hit = (enter <= leave) & (distance > 0) & (distance < depth)
        depth[hit] = distance[hit]
        color[hit] = (room.colors[number] * SHADES[axis[hit], None]).astype(np.uint8)
    return depth, color


def encode_color(color: NDArray[np.uint8], suffix: str = ".jpg") -> bytes:
    """Encode (H, W, 3) RGB as JPEG, or PNG."""
    return bytes(cv2.imencode(suffix, color[..., ::-1])[1].tobytes())


def header(**changes: object) -> SensHeader:
    """The header of a recording, with some fields changed."""
    fields: dict[str, object] = {
        "sensor_name": "sample",
        "color_intrinsics": COLOR_INTRINSICS,
        "color_extrinsics": np.eye(4, dtype=np.float32),
        "depth_intrinsics": DEPTH_INTRINSICS,
        "depth_extrinsics": np.eye(4, dtype=np.float32),
        "color_compression": "jpeg",
        "depth_compression": "zlib_ushort",
        "color_size": COLOR_SIZE,
        "depth_size": DEPTH_SIZE,
        "depth_shift": 1000.0,
        "num_frames": 0,
    }
    return SensHeader(**{**fields, **changes})  # type: ignore[arg-type]


def make_frame(room: Room, index: int, num_frames: int, *, lost: bool, empty: bool) -> RgbdFrame:
    """The frame of a camera that walks round the room's middle, with some depth missing."""
    size = room.boxes[0, 1]
    angle = 2 * np.pi * index / num_frames
    eye = size * (0.5, 0.5, 0.62) + 0.3 * np.array([np.cos(angle), np.sin(angle), 0])
    target = size * (0.5, 0.5, 0.35) + 2 * np.array([np.cos(angle + 0.5), np.sin(angle + 0.5), 0])
    pose = look_at(eye, target)
    depth, _ = render(room, pose, DEPTH_INTRINSICS, DEPTH_SIZE)
    _, color = render(room, pose, COLOR_INTRINSICS, COLOR_SIZE)
    raw = np.zeros_like(depth, np.uint16) if empty else np.rint(depth * 1000).astype(np.uint16)
    raw[(np.arange(raw.size).reshape(raw.shape) + index) % 97 == 0] = 0
    raw[:2, :2] = 0 if empty else 65_535
    time_us = index * 33_333
    return RgbdFrame(encode_color(color), raw, LOST_POSE if lost else pose, time_us, time_us + 7)


def write_recording(path: Path, *, seed: int, num_frames: int) -> None:
    """Write one recording; every 11th pose is lost, frame 10 of every 20 has no depth."""
    room = make_room(np.random.default_rng(seed))
    with write_sens(path, header()) as writer:
        for index in range(num_frames):
            lost, empty = index % 11 == 10, index % 20 == 10
            writer.append(make_frame(room, index, num_frames, lost=lost, empty=empty))


def write_scannet(root: Path, *, num_frames: int = 60) -> None:
    """Write a folder laid out as ScanNet's release: scans, scans_test and the split lists."""
    for seed, (scene_id, split) in enumerate(SCENES.items()):
        folder = root / ("scans_test" if split == "test" else "scans") / scene_id
        write_recording(folder / f"{scene_id}.sens", seed=seed, num_frames=num_frames)
    for split in ("train", "val", "test"):
        scenes = [scene_id for scene_id, of in SCENES.items() if of == split]
        (root / f"scannetv2_{split}.txt").write_text("\n".join(scenes) + "\n")


if __name__ == "__main__":
    write_scannet(Path(sys.argv[1]))
