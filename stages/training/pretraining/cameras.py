"""Where a frame's camera stood and what its teacher saw, for clouds that follow one of them.

`frame: gravity` turns clouds so that z is up and y is where the camera looked, by poses in a world
of which one axis, `up`, is up; `points: in_view` keeps to what lies inside the teacher's crop of the
colour image.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.card import CardError
from cache.frames import frames_path, read_frames
from stages.geometry.teacher_window import Crop, teacher_window
from stages.training.augment import turned
from stages.training.pretraining.config import Up
from stages.training.pretraining.pairs import Pairs
from stages.training.pretraining.upright import upright_rotation

COLUMNS = (
    "row", "pose_valid", "camera_to_world", "depth_to_color", "color_intrinsics", "color_size",
)  # fmt: skip
# A camera that looks level along the world's y.
LEVEL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class Views:
    """Of each pair: `upright` (N, 3, 3) from the camera's frame to z up, and the teacher's window.

    `projection` (N, 3, 4) takes metres of the depth camera to homogeneous pixels of the colour
    image; `center` and `half` (N, 2) are the teacher's crop, in these pixels. `camera_to_world`
    (N, 3, 3) is the pose's rotation.
    """

    upright: Tensor
    projection: Tensor
    center: Tensor
    half: Tensor
    pose_valid: Tensor
    camera_to_world: Tensor

    def only(self, kept: Tensor) -> "Views":
        """Those where `kept` (N,) bool."""
        return Views(*(value[kept] for value in vars(self).values()))

    def to(self, device: torch.device) -> "Views":
        """The same on a device."""
        return Views(*(value.to(device) for value in vars(self).values()))

    def project(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Where points (B, P, 3), camera-frame metres, fall in the teacher's window.

        Places (B, P, 2), (0, 0) its left upper corner and (1, 1) its right lower one, and depths (B, P)
        from the colour camera, metres; the place of what is not before it means nothing.
        """
        rows = rows.to(self.projection.device)
        projection = self.projection[rows]
        pixels = turned(points, projection[:, :, :3]) + projection[:, None, :, 3]
        depth = pixels[..., 2]
        where = pixels[..., :2] / depth.clamp(min=1e-6)[..., None]
        half = self.half[rows][:, None]
        return (where - self.center[rows][:, None] + half) / (2 * half), depth

    def in_view(self, points: Tensor, rows: Tensor) -> Tensor:
        """Which of the points (B, P, 3), camera-frame metres, the teacher saw: (B, P) bool."""
        return inside_window(*self.project(points, rows))

    def turn_upright(self, points: Tensor, rows: Tensor) -> Tensor:
        """Turn points (B, P, 3) of the camera's frame so that z is up."""
        upright = self.upright[rows.to(self.upright.device)]
        return turned(points, upright)


def inside_window(where: Tensor, depth: Tensor) -> Tensor:
    """Which places (B, P, 2), of points at a depth (B, P) before the camera, the teacher sees: (B, P) bool."""
    return ((where >= 0) & (where < 1)).all(dim=-1) & (depth > 0)


def load_views(frames: Path, pairs: Pairs, crop: Crop, size: int, up: Up = "z") -> Views:
    """Read the manifests of the pairs' scenes; `crop` and `size`, in pixels, are the teacher's.

    `up` is the axis that is up in the world of the poses. Raises CardError if they are not all there.
    """
    room, row = pairs.room.cpu(), pairs.row.cpu()
    parts = []
    for number, scene_id in enumerate(pairs.scene_ids):
        path = frames_path(frames, scene_id)
        table = read_frames(path, COLUMNS)
        kept = sorted(
            (item for item in table.to_pylist() if item["row"] is not None),
            key=lambda item: item["row"],
        )
        wanted = row[room == number].tolist()
        if wanted and wanted[-1] >= len(kept):
            raise CardError(f"{path}: fewer frames than its points; run extract again")
        parts += [_view(kept[index], crop, size, up) for index in wanted]
    columns = (torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True))
    return Views(*columns)


def _view(item: dict[str, Any], crop: Crop, size: int, up: Up) -> Iterable[NDArray[Any]]:
    pose_valid = bool(item["pose_valid"])
    pose = np.array(item["camera_to_world"], np.float64).reshape(4, 4)
    turn = pose[:3, :3] if pose_valid else LEVEL
    intrinsics = np.array(item["color_intrinsics"], np.float64).reshape(3, 3)
    extrinsic = np.array(item["depth_to_color"], np.float64).reshape(4, 4)
    width, height = item["color_size"]
    middle, half = teacher_window(width, height, size, crop).within(width, height)
    return (
        upright_rotation(turn, up if pose_valid else "z").astype(np.float32),
        (intrinsics @ extrinsic[:3]).astype(np.float32),
        np.array(middle, np.float32),
        np.array(half, np.float32),
        np.array(pose_valid),
        turn.astype(np.float32),
    )
