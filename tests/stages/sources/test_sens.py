"""The `.sens` reader: parity with ScanNet's own, and what it does with files that are not whole."""

import hashlib
import io
import tracemalloc
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
    SensFrame,
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
