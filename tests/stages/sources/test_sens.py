"""The `.sens` reader: parity with ScanNet's own, and what it does with files that are not whole."""

import hashlib
import io
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.sources.sens import SensReader, check_color, decode_depth
from stages.sources.sens_format import (
    FIXED_HEADER,
    FRAME_HEADER,
    PREFIX,
    SensError,
    SensFrame,
    SensFrameError,
)
from stages.sources.sens_writer import LOST_POSE, RgbdFrame, SensWriter, encode_header, write_sens
from tests.conftest import golden_files
from tests.worlds.recordings import COLOR_SIZE, DEPTH_SIZE, encode_color, header, write_recording

SMALL = Path(__file__).parents[2] / "golden" / "sens" / "open_small.sens"


@pytest.mark.parametrize("path", golden_files("sens/*.sens"), ids=lambda path: path.name)
def test_reads_what_the_reference_reads(path: Path) -> None:
    golden = np.load(path.with_suffix(".golden.npz"))
    with SensReader(path) as sens:
        head = sens.header
        assert head.sensor_name.encode() == golden["sensor_name"].tobytes()
        for ours, theirs in (
            ("color_intrinsics", "intrinsic_color"),
            ("color_extrinsics", "extrinsic_color"),
            ("depth_intrinsics", "intrinsic_depth"),
            ("depth_extrinsics", "extrinsic_depth"),
        ):
            np.testing.assert_array_equal(getattr(head, ours), golden[theirs])
        assert head.color_size == (golden["color_width"], golden["color_height"])
        assert head.depth_size == (golden["depth_width"], golden["depth_height"])
        assert head.color_compression == golden["color_compression"]
        assert head.depth_compression == golden["depth_compression"]
        assert head.depth_shift == golden["depth_shift"]
        assert head.num_frames == golden["num_frames"]
        frames = list(sens.walk())
        assert len(frames) == golden["num_frames"]
        assert sens.damage is None
        assert sens.trailing() == (len(golden["imu_timestamp"]), 128 * len(golden["imu_timestamp"]))
        for name, ours in (
            ("camera_to_world", [frame.camera_to_world for frame in frames]),
            ("timestamp_color", [frame.timestamp_color for frame in frames]),
            ("timestamp_depth", [frame.timestamp_depth for frame in frames]),
            ("color_size_bytes", [frame.color_bytes for frame in frames]),
            ("depth_size_bytes", [frame.depth_bytes for frame in frames]),
            ("pose_finite", [frame.pose_valid for frame in frames]),
        ):
            np.testing.assert_array_equal(ours, golden[name], err_msg=name)
        every25 = [frame.index for frame in frames if frame.index % 25 == 0]
        np.testing.assert_array_equal(every25, golden["every25_indices"])
        _compare_payloads(sens, frames, golden)


def _compare_payloads(sens: SensReader, frames: list[SensFrame], golden: dict) -> None:
    depths = {}
    for frame in frames:
        color, raw_depth = sens.payload(frame)
        depth = depths[frame.index] = decode_depth(raw_depth, sens.header)
        check_color(color, sens.header)
        pixels = np.asarray(Image.open(io.BytesIO(color)))
        for name, data in (
            ("color_bytes_sha256", color),
            ("depth_bytes_sha256", raw_depth),
            ("depth_sha256", depth.tobytes()),
            ("rgb_sha256", pixels.tobytes()),
        ):
            assert hashlib.sha256(data).hexdigest() == golden[name][frame.index], name
    for index, depth in zip(golden["sample_depth_index"], golden["sample_depth"], strict=True):
        np.testing.assert_array_equal(depths[index], depth)


class CountingFile(io.BytesIO):
    """Counts the bytes that are read from it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def test_walk_touches_no_payload() -> None:
    file = CountingFile(SMALL.read_bytes())
    sens = SensReader(file)
    head_bytes = PREFIX.size + len(sens.header.sensor_name) + FIXED_HEADER.size
    num_frames = len(list(sens.walk()))
    assert file.bytes_read == head_bytes + num_frames * FRAME_HEADER.size


def test_memory_stays_flat_over_a_long_recording(tmp_path: Path) -> None:
    def peak(num_frames: int) -> int:
        path = tmp_path / f"{num_frames}.sens"
        with write_sens(path, header()) as writer:
            frame = RgbdFrame(bytes(20_000), np.zeros((1, 1), np.uint16), np.eye(4), 0, 0)
            for _ in range(num_frames):
                writer.append_encoded(frame, bytes(20_000))
        tracemalloc.start()
        with SensReader(path) as sens:
            for sensed in sens.walk():
                if sensed.index % 25 == 0:
                    sens.payload(sensed)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(100), peak(2000)
    assert many < few + 20_000


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


NAME_BYTES = 9
FIXED = PREFIX.size + NAME_BYTES


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


LIMIT = DEPTH_SIZE[0] * DEPTH_SIZE[1] * 2 + (1 << 16)


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


@pytest.mark.parametrize("color", ["jpeg", "png"])
@pytest.mark.parametrize("depth", ["zlib_ushort", "raw_ushort"])
def test_what_is_written_is_read(tmp_path: Path, color: str, depth: str) -> None:
    generator = np.random.default_rng(0)
    about = header(color_compression=color, depth_compression=depth, depth_shift=5000.0,
                   sensor_name="Kinect ü", depth_extrinsics=generator.normal(size=(4, 4)))  # fmt: skip
    width, height = DEPTH_SIZE
    image = generator.integers(0, 255, (COLOR_SIZE[1], COLOR_SIZE[0], 3), np.uint8)
    encoded = encode_color(image, ".jpg" if color == "jpeg" else ".png")
    frames = [
        RgbdFrame(
            encoded,
            generator.integers(0, 65_536, (height, width)).astype(np.uint16),
            pose,
            n,
            n + 1,
        )
        for n, pose in enumerate((np.eye(4), LOST_POSE))
    ]
    path = tmp_path / "a.sens"
    with write_sens(path, about) as writer:
        for frame in frames:
            writer.append(frame)
    with SensReader(path) as sens:
        assert encode_header(sens.header) == encode_header(replace(about, num_frames=2))
        found = list(sens.walk())
        for frame, sensed in zip(frames, found, strict=True):
            color_bytes, depth_bytes = sens.payload(sensed)
            assert color_bytes == frame.color
            np.testing.assert_array_equal(decode_depth(depth_bytes, sens.header), frame.depth)
            np.testing.assert_array_equal(sensed.camera_to_world, frame.camera_to_world)
        assert [frame.pose_valid for frame in found] == [True, False]


def test_imu_frames_at_the_end_are_ignored() -> None:
    file = io.BytesIO()
    writer = SensWriter(file, header())
    writer.finish(imu=[bytes(128)] * 3)
    sens = SensReader(file)
    assert list(sens.walk()) == []
    assert sens.trailing() == (3, 3 * 128)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    wrong = RgbdFrame(b"", np.zeros((2, 2), np.uint16), np.eye(4), 0, 0)
    with (
        pytest.raises(ValueError, match=r"frame 0: depth is uint16 \(2, 2\)"),
        write_sens(path, header()) as writer,
    ):
        writer.append(wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "pose",
    [LOST_POSE, np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([2.0, 2, 2, 1]),
     np.diag([-1.0, 1, 1, 1])],
    ids=["lost", "zero", "nan", "scaled", "mirrored"],
)  # fmt: skip
def test_only_a_rigid_motion_is_a_valid_pose(pose: np.ndarray) -> None:
    assert not SensFrame(0, pose.astype(np.float32), 0, 0, 0, 0, 0).pose_valid
    assert SensFrame(0, np.eye(4, dtype=np.float32), 0, 0, 0, 0, 0).pose_valid


def test_headers_hash_sees_a_changed_pose(tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    write_recording(path, seed=0, num_frames=3)
    hashes = []
    for change in (0, 1):
        data = bytearray(path.read_bytes())
        with SensReader(io.BytesIO(bytes(data))) as sens:
            last = list(sens.walk())[-1]
        data[last.offset - FRAME_HEADER.size] ^= change
        changed = SensReader(io.BytesIO(bytes(data)))
        list(changed.walk())
        hashes.append(changed.headers_sha256)
    assert hashes[0] != hashes[1]
