"""The bytes of a `.sens`, version 4: what its headers say, checked; see `sens` for the layout."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 4


COLOR_COMPRESSIONS = {-1: "unknown", 0: "raw", 1: "png", 2: "jpeg"}


DEPTH_COMPRESSIONS = {-1: "unknown", 0: "raw_ushort", 1: "zlib_ushort", 2: "occi_ushort"}


READABLE_COLOR, READABLE_DEPTH = ("jpeg", "png"), ("raw_ushort", "zlib_ushort")


PREFIX = struct.Struct("<IQ")  # version, length of the sensor's name


FIXED_HEADER = struct.Struct("<64f2i4IfQ")  # four matrices, compressions, sizes, shift, frames


FRAME_HEADER = struct.Struct("<16f4Q")


IMU_COUNT_BYTES, IMU_FRAME_BYTES = 8, 5 * 3 * 8 + 8


# Far above any sensor, low enough that a corrupt header cannot ask for much memory.
MAX_NAME_BYTES, MAX_SIDE_PIXELS, MAX_IMAGE_PIXELS = 4_096, 16_384, 1 << 25


Matrix = NDArray[np.float32]


class SensError(ValueError):
    """The file is not a `.sens` that can be read. The message says what, where and what to do."""


class SensFrameError(ValueError):
    """One frame's payload cannot be used; `reason` is the status it gets in the manifest."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class SensHeader:
    """What a `.sens` says about all its frames. Matrices are (4, 4), row-major.

    `depth_extrinsics` maps the depth camera to the colour camera. Sizes are (width, height) in
    pixels; `depth_shift` is raw depth units per metre.
    """

    sensor_name: str
    color_intrinsics: Matrix
    color_extrinsics: Matrix
    depth_intrinsics: Matrix
    depth_extrinsics: Matrix
    color_compression: str
    depth_compression: str
    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    depth_shift: float
    num_frames: int


@dataclass(frozen=True)
class SensFrame:
    """One frame's header: where its payload lies, not the payload.

    `camera_to_world` is (4, 4), metres, sixteen times -inf where tracking was lost. Timestamps are
    in microseconds.
    """

    index: int
    camera_to_world: Matrix
    timestamp_color: int
    timestamp_depth: int
    offset: int
    color_bytes: int
    depth_bytes: int

    @property
    def pose_valid(self) -> bool:
        """True if the pose is a finite rigid motion."""
        return is_rigid(self.camera_to_world)


def is_rigid(pose: Matrix) -> bool:
    """Say whether a pose (4, 4) is a finite rigid motion; a lost one is not."""
    pose = pose.astype(np.float64)
    if not np.isfinite(pose).all():
        return False
    rotation = pose[:3, :3]
    orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2)
    proper = bool(np.linalg.det(rotation) > 0)
    return orthonormal and proper and np.allclose(pose[3], (0, 0, 0, 1), atol=1e-3)


def parse_frame(raw: bytes, index: int, offset: int) -> SensFrame | None:
    """Read a frame's header from its 96 bytes; None if it cannot be one."""
    if len(raw) < FRAME_HEADER.size:
        return None
    *_, t_color, t_depth, color_bytes, depth_bytes = FRAME_HEADER.unpack(raw)
    pose = np.frombuffer(raw, "<f4", count=16).reshape(4, 4)
    return SensFrame(index, pose, t_color, t_depth, offset, color_bytes, depth_bytes)


def parse_header(name: bytes, fixed: bytes) -> SensHeader:
    """Read the file's header from its bytes. Raises SensError if it cannot be trusted."""
    values = FIXED_HEADER.unpack(fixed)
    matrices = np.frombuffer(fixed, "<f4", count=64).reshape(4, 4, 4)
    color_kind, depth_kind, color_w, color_h, depth_w, depth_h, shift, num_frames = values[64:]
    header = SensHeader(
        sensor_name=name.decode("utf-8", errors="replace"),
        color_intrinsics=matrices[0],
        color_extrinsics=matrices[1],
        depth_intrinsics=matrices[2],
        depth_extrinsics=matrices[3],
        color_compression=COLOR_COMPRESSIONS.get(color_kind, str(color_kind)),
        depth_compression=DEPTH_COMPRESSIONS.get(depth_kind, str(depth_kind)),
        color_size=(color_w, color_h),
        depth_size=(depth_w, depth_h),
        depth_shift=shift,
        num_frames=num_frames,
    )
    _check_header(header)
    return header


def _check_header(header: SensHeader) -> None:
    if header.color_compression not in READABLE_COLOR:
        raise ValueError(
            f"colour compression {header.color_compression!r} cannot be read, "
            f"only {' and '.join(READABLE_COLOR)}"
        )
    if header.depth_compression not in READABLE_DEPTH:
        raise ValueError(
            f"depth compression {header.depth_compression!r} cannot be read, "
            f"only {' and '.join(READABLE_DEPTH)}"
        )
    for what, (width, height) in (("colour", header.color_size), ("depth", header.depth_size)):
        sides_fit = min(width, height) >= 1 and max(width, height) <= MAX_SIDE_PIXELS
        if not sides_fit or width * height > MAX_IMAGE_PIXELS:
            raise ValueError(f"corrupt header: a {what} image of {width} x {height} pixels")
    if not (np.isfinite(header.depth_shift) and header.depth_shift > 0):
        raise ValueError(f"corrupt header: {header.depth_shift} depth units per metre")
    focal = header.depth_intrinsics[[0, 1], [0, 1]]
    if not np.isfinite(header.depth_intrinsics[:3, :3]).all() or (focal <= 0).any():
        raise ValueError(f"corrupt header: depth intrinsics {header.depth_intrinsics[:3].tolist()}")
