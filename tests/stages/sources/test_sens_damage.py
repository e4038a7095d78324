"""Damaged and hostile .sens files: cut off, bad headers, absurd sizes, corrupt payloads."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from stages.sources.sens import SensReader, check_color, decode_depth
from stages.sources.sens_format import (
    FRAME_HEADER,
    PREFIX,
    SensError,
    SensFrameError,
)
from stages.sources.sens_writer import RgbdFrame, write_sens
from tests.worlds.recordings import COLOR_SIZE, DEPTH_SIZE, encode_color, header

SMALL = Path(__file__).parents[2] / "golden" / "sens" / "open_small.sens"
NAME_BYTES = 9
FIXED = PREFIX.size + NAME_BYTES


LIMIT = DEPTH_SIZE[0] * DEPTH_SIZE[1] * 2 + (1 << 16)


def cut_points() -> list[int]:
    """Ends of every frame header and payload of the small file, and one byte before each."""
    with SensReader(SMALL) as sens:
        ends = [PREFIX.size, sens.header.num_frames]
        for frame in sens.walk():
            ends += [frame.offset, frame.offset + frame.color_bytes + frame.depth_bytes]
    return sorted({*ends, *(end - 1 for end in ends)})


@pytest.mark.parametrize("size", cut_points())
def test_a_truncated_file_gives_all_whole_frames(size: int) -> None:
    data = SMALL.read_bytes()
    whole = SensReader(io.BytesIO(data))
    frames = list(whole.walk())
    head_end = frames[0].offset - FRAME_HEADER.size
    if size < head_end:
        with pytest.raises(SensError, match=r"header|too few"):
            SensReader(io.BytesIO(data[:size]))
        return
    sens = SensReader(io.BytesIO(data[:size]))
    found = list(sens.walk())
    fitting = [f for f in frames if f.offset + f.color_bytes + f.depth_bytes <= size]
    assert [frame.index for frame in found] == [frame.index for frame in fitting]
    assert sens.num_whole_frames == len(fitting)
    if len(fitting) < len(frames):
        assert sens.damage is not None
        assert f"{size}" in sens.damage  # where the file ends
    for frame in found:
        assert sens.payload(frame) == whole.payload(frames[frame.index])


def corrupted_header(offset: int, value: bytes) -> io.BytesIO:
    data = bytearray(SMALL.read_bytes())
    data[offset : offset + len(value)] = value
    return io.BytesIO(bytes(data))


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, struct.pack("<I", 3), "version 3, only version 4"),
        (0, b"PK\x03\x04", "only version 4"),
        (4, struct.pack("<Q", 2**63), "sensor name of 9223372036854775808 bytes"),
        (4, struct.pack("<Q", 4_000), None),  # shifts everything: some clear error
        (FIXED + 256, struct.pack("<i", 0), "colour compression 'raw'"),
        (FIXED + 256, struct.pack("<i", 17), "colour compression '17'"),
        (FIXED + 260, struct.pack("<i", 2), "depth compression 'occi_ushort'"),
        (FIXED + 260, struct.pack("<i", -1), "depth compression 'unknown'"),
        (FIXED + 264, struct.pack("<I", 2**31), "colour image of 2147483648 x 72"),
        (FIXED + 272, struct.pack("<I", 0), "depth image of 0 x 48"),
        (FIXED + 272, struct.pack("<II", 16_000, 16_000), "depth image of 16000 x 16000"),
        (FIXED + 280, struct.pack("<f", 0.0), "0.0 depth units per metre"),
        (FIXED + 280, struct.pack("<f", np.nan), "nan depth units per metre"),
        (FIXED + 128, struct.pack("<f", np.nan), "depth intrinsics"),
        (FIXED + 128, struct.pack("<f", -1.0), "depth intrinsics"),
    ],
)
def test_a_bad_header_is_one_clear_error(offset: int, value: bytes, message: str | None) -> None:
    with pytest.raises(SensError, match=message) as caught:
        SensReader(corrupted_header(offset, value))
    assert "\n" not in str(caught.value)


def test_an_absurd_number_of_frames_takes_no_memory() -> None:
    sens = SensReader(corrupted_header(FIXED + 284, struct.pack("<Q", 2**62)))
    assert len(list(sens.walk())) == 9
    assert sens.damage is not None


def test_an_absurd_payload_size_ends_the_walk() -> None:
    with SensReader(SMALL) as whole:
        third = list(whole.walk())[2]
    data = bytearray(SMALL.read_bytes())
    struct.pack_into("<Q", data, third.offset - 16, 2**60)
    sens = SensReader(io.BytesIO(bytes(data)))
    assert [frame.index for frame in sens.walk()] == [0, 1]
    assert sens.damage is not None
    assert "frame 2 of 9: corrupt frame header" in sens.damage


def with_large_frames(path: Path, sizes: dict[int, int], *, num_frames: int = 5) -> list[bytes]:
    """A recording in which some frames have so many bytes of depth; returns the others' depth."""
    depth = [zlib.compress(bytes([n]) * (DEPTH_SIZE[0] * DEPTH_SIZE[1] * 2)) for n in range(5)]
    color = encode_color(np.zeros((COLOR_SIZE[1], COLOR_SIZE[0], 3), np.uint8))
    with write_sens(path, header()) as writer:
        frame = RgbdFrame(color, np.zeros((1, 1), np.uint16), np.eye(4), 0, 0)
        for n in range(num_frames):
            writer.append_encoded(
                frame, depth[n] + bytes(sizes.get(n, len(depth[n])) - len(depth[n]))
            )
    return depth


@pytest.mark.parametrize("large", [(0,), (2,), (1, 2), (4,)], ids=str)
def test_a_frame_of_too_many_bytes_is_bad_alone(tmp_path: Path, large: tuple[int, ...]) -> None:
    """Its zlib stream is whole, and followed by more zeros than any depth image could have."""
    path = tmp_path / "a.sens"
    depth = with_large_frames(path, dict.fromkeys(large, 20_000_000))
    tracemalloc.start()
    with SensReader(path) as sens:
        for frame in sens.walk():
            color, raw = sens.payload(frame)
            check_color(color, sens.header)
            if frame.index in large:
                with pytest.raises(SensFrameError) as caught:
                    decode_depth(raw, sens.header)
                assert caught.value.reason == "corrupt_depth"
            else:
                assert raw == depth[frame.index]
        assert (sens.damage, sens.num_whole_frames) == (None, 5)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * LIMIT  # and never the twenty million bytes
    with SensReader(path) as sens:
        list(sens.walk())
        assert sens.trailing() == (0, 0)


def test_the_most_bytes_that_are_possible_are_read(tmp_path: Path) -> None:
    with_large_frames(tmp_path / "a.sens", {1: LIMIT, 3: LIMIT + 1})
    with SensReader(tmp_path / "a.sens") as sens:
        payloads = [sens.payload(frame)[1] for frame in sens.walk()]
    assert decode_depth(payloads[1], header()).shape == DEPTH_SIZE[::-1]
    with pytest.raises(SensFrameError, match=f"more bytes than the {LIMIT} that are possible"):
        decode_depth(payloads[3], header())


@pytest.mark.parametrize("behind", ["payload", "cut off"])
def test_too_many_bytes_with_nothing_sound_behind_end_the_walk(tmp_path: Path, behind: str) -> None:
    path = tmp_path / "a.sens"
    with_large_frames(path, {1: LIMIT + 1000})
    data = bytearray(path.read_bytes())
    with SensReader(io.BytesIO(bytes(data))) as sens:
        large = list(sens.walk())[1]
    if behind == "payload":  # the size is wrong: it ends in the middle of another frame
        struct.pack_into("<Q", data, large.offset - 8, large.depth_bytes + 700)
    else:
        data = data[: large.offset + large.color_bytes + large.depth_bytes - 1]
    sens = SensReader(io.BytesIO(bytes(data)))
    assert [frame.index for frame in sens.walk()] == [0]
    assert sens.damage is not None
    assert "frame 1 of 5: corrupt frame header" in sens.damage


def test_color_of_too_many_bytes_is_rejected() -> None:
    width, height = COLOR_SIZE
    right = encode_color(np.zeros((height, width, 3), np.uint8))
    check_color(right + bytes(1000), header())  # some encoders pad with zeros
    with pytest.raises(SensFrameError, match="more bytes than the"):
        check_color(right + bytes(width * height * 4 + (1 << 16)), header())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not zlib",
        zlib.compress(bytes(DEPTH_SIZE[0] * DEPTH_SIZE[1] * 2))[:-6],
        zlib.compress(bytes(DEPTH_SIZE[0] * DEPTH_SIZE[1] * 2))[:-4],
        zlib.compress(bytes(10)),
        zlib.compress(bytes(DEPTH_SIZE[0] * DEPTH_SIZE[1] * 2 + 1)),
    ],
    ids=["empty", "not zlib", "cut off", "no checksum", "too short", "too long"],
)
def test_corrupt_depth_is_one_rejected_frame(raw: bytes) -> None:
    with pytest.raises(SensFrameError) as caught:
        decode_depth(raw, header())
    assert caught.value.reason == "corrupt_depth"


def test_a_zlib_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(SensFrameError):
        decode_depth(bomb, header())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


def test_color_of_another_kind_or_size_is_rejected() -> None:
    width, height = COLOR_SIZE
    right = encode_color(np.zeros((height, width, 3), np.uint8))
    check_color(right, header())
    wrong_size = encode_color(np.zeros((height, width + 2, 3), np.uint8))
    png = encode_color(np.zeros((height, width, 3), np.uint8), ".png")
    for bad in (wrong_size, png, right[:-2], right[:20], b""):
        with pytest.raises(SensFrameError) as caught:
            check_color(bad, header())
        assert caught.value.reason == "corrupt_color"
