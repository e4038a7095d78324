"""Writes `.sens` version 4, the format that `stages.sources.sens` reads."""

import math
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stages.sources.sens import check_color
from stages.sources.sens_format import (
    COLOR_COMPRESSIONS,
    DEPTH_COMPRESSIONS,
    FIXED_HEADER,
    FRAME_HEADER,
    IMU_COUNT_BYTES,
    IMU_FRAME_BYTES,
    PREFIX,
    VERSION,
    Matrix,
    SensHeader,
)

LOST_POSE = np.full((4, 4), -np.inf, np.float32)


@dataclass(frozen=True)
class RgbdFrame:
    """One frame to write: encoded colour, depth (H, W) uint16 raw units, camera-to-world (4, 4).

    Use `LOST_POSE` where tracking was lost. Timestamps are in microseconds.
    """

    color: bytes
    depth: NDArray[np.uint16]
    camera_to_world: Matrix
    timestamp_color: int
    timestamp_depth: int


class SensWriter:
    """Appends frames to an open `.sens`; made by `write_sens`."""

    def __init__(self, file: BinaryIO, header: SensHeader) -> None:
        self._file = file
        self._header = header
        self.num_frames = 0
        file.write(encode_header(header))

    def append(self, frame: RgbdFrame) -> None:
        """Write one frame. Raises ValueError if it does not have the size the header states."""
        width, height = self._header.depth_size
        if frame.depth.shape != (height, width) or frame.depth.dtype != np.uint16:
            raise ValueError(
                f"frame {self.num_frames}: depth is {frame.depth.dtype} {frame.depth.shape}, "
                f"expected uint16 {(height, width)}"
            )
        check_color(frame.color, self._header)
        depth = frame.depth.astype("<u2").tobytes()
        if self._header.depth_compression == "zlib_ushort":
            depth = zlib.compress(depth)
        self.append_encoded(frame, depth)

    def append_encoded(self, frame: RgbdFrame, depth: bytes) -> None:
        """Write one frame with these depth bytes as they are."""
        pose = np.asarray(frame.camera_to_world, np.float32).reshape(16).tolist()
        times = (frame.timestamp_color, frame.timestamp_depth)
        self._file.write(FRAME_HEADER.pack(*pose, *times, len(frame.color), len(depth)))
        self._file.write(frame.color)
        self._file.write(depth)
        self.num_frames += 1

    def finish(self, imu: Iterable[bytes] = ()) -> None:
        """Write the IMU section (frames of 128 bytes) and the number of frames into the header."""
        imu_frames = list(imu)
        assert all(len(raw) == IMU_FRAME_BYTES for raw in imu_frames)
        self._file.write(len(imu_frames).to_bytes(IMU_COUNT_BYTES, "little") + b"".join(imu_frames))
        self._file.seek(0)
        self._file.write(encode_header(replace(self._header, num_frames=self.num_frames)))


@contextmanager
def write_sens(path: Path, header: SensHeader) -> Iterator[SensWriter]:
    """Open a writer; the file appears under its name only when the block ends without an error.

    `header.num_frames` is ignored: the frames written are counted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            writer = SensWriter(file, header)
            yield writer
            writer.finish()
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def encode_header(header: SensHeader) -> bytes:
    """Return the bytes of a header."""
    name = header.sensor_name.encode()
    matrices = (
        header.color_intrinsics,
        header.color_extrinsics,
        header.depth_intrinsics,
        header.depth_extrinsics,
    )
    values = np.stack(matrices).astype(np.float32).reshape(64).tolist()
    return (
        PREFIX.pack(VERSION, len(name))
        + name
        + FIXED_HEADER.pack(
            *values,
            _code(COLOR_COMPRESSIONS, header.color_compression),
            _code(DEPTH_COMPRESSIONS, header.depth_compression),
            *header.color_size,
            *header.depth_size,
            header.depth_shift,
            header.num_frames,
        )
    )


def _code(names: dict[int, str], name: str) -> int:
    return next(code for code, known in names.items() if known == name)


def intrinsic_matrix(fx: float, fy: float, cx: float, cy: float) -> Matrix:
    """Return a (4, 4) pinhole matrix; all four in pixels, centres at integers.

    Raises ValueError if one is not finite, or a focal length is not positive.
    """
    if not all(map(math.isfinite, (fx, fy, cx, cy))) or min(fx, fy) <= 0:
        raise ValueError(f"intrinsics {fx}, {fy}, {cx}, {cy}: expected pixels, focal lengths > 0")
    matrix = np.eye(4, dtype=np.float32)
    matrix[[0, 1, 0, 1], [0, 1, 2, 2]] = fx, fy, cx, cy
    return matrix
