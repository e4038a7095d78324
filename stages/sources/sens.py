"""ScanNet's `.sens` RGB-D stream, version 4, read frame by frame.

Layout (little-endian, no padding) after ScanNet's `SensReader/c++/src/sensorData.h`: a header, then
per frame 96 bytes (pose, timestamps, two sizes) followed by the compressed colour and depth, then
IMU frames, which are not read. Only the payload of the frames that are asked for is ever touched.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from stages.sources.images import JPEG_START, PNG_START, image_size

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


class SensReader:
    """Reads one `.sens` file; a context manager.

    Raises SensError at once if the header cannot be trusted. `walk` yields every whole frame; if
    the file ends early or a frame header is corrupt, it stops there and `damage` says why. A frame
    that states more bytes than it can have is passed over if the file goes on behind them: it is
    yielded, and its payload is refused by `check_color` or `decode_depth`.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        self.name = str(source) if isinstance(source, Path) else "<stream>"
        # Unbuffered: a buffer would read ahead into payloads that nobody wants.
        self._file: BinaryIO = (
            open(source, "rb", buffering=0) if isinstance(source, Path) else source  # noqa: SIM115
        )
        try:
            self.size_bytes = self._file.seek(0, io.SEEK_END)
            self._headers_hash = hashlib.sha256()
            self.header = self._read_header()
            self._first_frame = self._file.tell()
        except BaseException:
            self.close()
            raise
        self.damage: str | None = None
        self.num_whole_frames = 0
        self._walked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def walk(self) -> Iterator[SensFrame]:
        """Yield the header of every whole frame in order, seeking over all payloads.

        After the last one `num_whole_frames`, `damage` and `headers_sha256` are set.
        """
        digest, offset, index = self._headers_hash.copy(), self._first_frame, 0
        self.damage, self._walked = None, False
        while index < self.header.num_frames:
            raw = self._read_at(offset, FRAME_HEADER.size)
            frame = _parse_frame(raw, index, offset + FRAME_HEADER.size)
            self.damage = self._frame_damage(frame, offset)
            if self.damage:
                break
            assert frame is not None
            digest.update(raw)
            yield frame
            offset = frame.offset + frame.color_bytes + frame.depth_bytes
            index += 1
        self.num_whole_frames, self._end_of_frames = index, offset
        self._digest, self._walked = digest.hexdigest(), True

    @property
    def headers_sha256(self) -> str:
        """Hash of the file's header and of every whole frame's header; known after `walk`."""
        assert self._walked, "walk() to the end first"
        return self._digest

    def trailing(self) -> tuple[int | None, int]:
        """After `walk`: the stated number of IMU frames (None if cut off), and bytes that follow."""
        assert self._walked, "walk() to the end first"
        raw = self._read_at(self._end_of_frames, IMU_COUNT_BYTES)
        rest = self.size_bytes - self._end_of_frames
        if self.damage or len(raw) < IMU_COUNT_BYTES:
            return None, rest
        return int.from_bytes(raw, "little"), rest - IMU_COUNT_BYTES

    def payload(self, frame: SensFrame) -> tuple[bytes, bytes]:
        """Return the compressed (colour, depth) bytes of one frame.

        Of more bytes than are possible only one too many is read, so that it is noticed.
        """
        color_limit, depth_limit = payload_limits(self.header)
        color_bytes = min(frame.color_bytes, color_limit + 1)
        depth_bytes = min(frame.depth_bytes, depth_limit + 1)
        color = self._read_at(frame.offset, color_bytes)
        depth = self._read_at(frame.offset + frame.color_bytes, depth_bytes)
        if len(color) < color_bytes or len(depth) < depth_bytes:
            raise SensError(f"{self.name}: shrank while it was read, at frame {frame.index}")
        return color, depth

    def _read_at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def _read_header(self) -> SensHeader:
        raw = self._read_at(0, PREFIX.size)
        if len(raw) < PREFIX.size:
            raise SensError(f"{self.name}: {self.size_bytes} bytes are too few for a .sens header")
        version, name_bytes = PREFIX.unpack(raw)
        if version != VERSION:
            raise SensError(
                f"{self.name}: .sens version {version}, only version {VERSION} is known; "
                "is this a .sens file of ScanNetV2?"
            )
        if name_bytes > MAX_NAME_BYTES:
            raise SensError(f"{self.name}: corrupt header: a sensor name of {name_bytes} bytes")
        rest = self._read_at(PREFIX.size, name_bytes + FIXED_HEADER.size)
        if len(rest) < name_bytes + FIXED_HEADER.size:
            raise SensError(f"{self.name}: the header is cut off at byte {self.size_bytes}")
        self._headers_hash.update(raw + rest)
        try:
            return _parse_header(rest[:name_bytes], rest[name_bytes:])
        except ValueError as error:
            raise SensError(f"{self.name}: {error}") from None

    def _frame_damage(self, frame: SensFrame | None, offset: int) -> str | None:
        where = f"frame {frame.index if frame else '?'} of {self.header.num_frames}"
        if frame is None:
            return f"the file ends at byte {self.size_bytes}, in the frame header at byte {offset}"
        color_limit, depth_limit = payload_limits(self.header)
        end = frame.offset + frame.color_bytes + frame.depth_bytes
        possible = frame.color_bytes <= color_limit and frame.depth_bytes <= depth_limit
        if not possible and not self._goes_on_at(end, frame.index + 1):
            return (
                f"{where}: corrupt frame header at byte {offset}: {frame.color_bytes} bytes of "
                f"colour and {frame.depth_bytes} of depth, at most {color_limit} and "
                f"{depth_limit} are possible"
            )
        if end > self.size_bytes:
            return f"{where}: needs bytes up to {end}, the file ends at {self.size_bytes}"
        return None

    def _goes_on_at(self, offset: int, index: int) -> bool:
        """True if what follows at a byte is what a file has there: another frame, or the IMU's."""
        if offset > self.size_bytes:
            return False
        rest = self.size_bytes - offset
        if index == self.header.num_frames:
            count = int.from_bytes(self._read_at(offset, IMU_COUNT_BYTES), "little")
            return rest == 0 or IMU_COUNT_BYTES + count * IMU_FRAME_BYTES == rest
        after = _parse_frame(self._read_at(offset, FRAME_HEADER.size), index, offset)
        if after is None or not after.color_bytes or not after.depth_bytes:
            return False
        return FRAME_HEADER.size + after.color_bytes + after.depth_bytes <= rest


def payload_limits(header: SensHeader) -> tuple[int, int]:
    """Most bytes that one frame's (colour, depth) can take: its raw size and some slack."""
    color, depth = header.color_size, header.depth_size
    slack = 1 << 16
    return color[0] * color[1] * 4 + slack, depth[0] * depth[1] * 2 + slack


def decode_depth(raw: bytes, header: SensHeader) -> NDArray[np.uint16]:
    """Inflate one frame's depth to (H, W) raw units; divide by `depth_shift` for metres.

    Raises SensFrameError("corrupt_depth"). Never inflates beyond the size that the header states.
    """
    width, height = header.depth_size
    expected = width * height * 2
    _refuse_too_many("depth", raw, payload_limits(header)[1])
    if header.depth_compression == "zlib_ushort":
        inflater = zlib.decompressobj()
        try:
            raw = inflater.decompress(raw, expected + 1)
        except zlib.error as error:
            raise SensFrameError("corrupt_depth", f"depth does not inflate: {error}") from None
        if len(raw) == expected and not inflater.eof:
            raise SensFrameError("corrupt_depth", "depth's zlib stream has no end")
    if len(raw) != expected:
        raise SensFrameError(
            "corrupt_depth", f"depth has {len(raw)} bytes, {width} x {height} need {expected}"
        )
    return np.frombuffer(raw, "<u2").reshape(height, width)


def check_color(raw: bytes, header: SensHeader) -> None:
    """Check one frame's colour image by its markers, without decoding it.

    Raises SensFrameError("corrupt_color") if it is not of the stated kind and size, or is cut off.
    """
    _refuse_too_many("color", raw, payload_limits(header)[0])
    start = JPEG_START if header.color_compression == "jpeg" else PNG_START
    if not raw.startswith(start):
        raise SensFrameError("corrupt_color", f"colour is not {header.color_compression}")
    try:
        size = image_size(raw)
    except ValueError as error:
        raise SensFrameError("corrupt_color", str(error)) from None
    if size != header.color_size:
        raise SensFrameError(
            "corrupt_color", f"colour is {size}, the header says {header.color_size}"
        )


def _refuse_too_many(kind: str, raw: bytes, limit: int) -> None:
    if len(raw) > limit:
        raise SensFrameError(f"corrupt_{kind}", f"more bytes than the {limit} that are possible")


def _parse_frame(raw: bytes, index: int, offset: int) -> SensFrame | None:
    if len(raw) < FRAME_HEADER.size:
        return None
    *_, t_color, t_depth, color_bytes, depth_bytes = FRAME_HEADER.unpack(raw)
    pose = np.frombuffer(raw, "<f4", count=16).reshape(4, 4)
    return SensFrame(index, pose, t_color, t_depth, offset, color_bytes, depth_bytes)


def _parse_header(name: bytes, fixed: bytes) -> SensHeader:
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
