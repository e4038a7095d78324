"""ScanNet's `.sens` RGB-D stream, version 4, read frame by frame.

Layout (little-endian, no padding) after ScanNet's `SensReader/c++/src/sensorData.h`: a header, then
per frame 96 bytes (pose, timestamps, two sizes) followed by the compressed colour and depth, then
IMU frames, which are not read. Only the payload of the frames that are asked for is ever touched.
"""

import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from stages.sources.images import JPEG_START, PNG_START, image_size
from stages.sources.sens_format import (
    FIXED_HEADER,
    FRAME_HEADER,
    IMU_COUNT_BYTES,
    IMU_FRAME_BYTES,
    MAX_NAME_BYTES,
    PREFIX,
    VERSION,
    SensError,
    SensFrame,
    SensFrameError,
    SensHeader,
    parse_frame,
    parse_header,
)


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
            frame = parse_frame(raw, index, offset + FRAME_HEADER.size)
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
            return parse_header(rest[:name_bytes], rest[name_bytes:])
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
        after = parse_frame(self._read_at(offset, FRAME_HEADER.size), index, offset)
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
