"""`extract` on one core, beside a bare loop and beside the reference reader's way.

- bare: seek to every 25th frame, inflate its depth, back-project all of it by Open3D, keep nothing;
- reference: ScanNet's `SensorData.py` carried over to Python 3: every frame is read, byte by byte
  through `struct.unpack`, and held; every 25th is inflated and back-projected by numpy;
- extract: this project's stage, with manifest, points, checksums and card written to disk.

Each runs in a process of its own, in turn, several times; the recording has ScanNet's sizes
(colour 1296 x 968, depth 640 x 480). Medians are printed.
"""

import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

from stages.precompute.recordings import extract
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.sources.open3d_library import load_open3d
from stages.sources.scannet_layout import scenes_from_files
from stages.sources.sens import SensReader
from stages.sources.sens_format import FIXED_HEADER, FRAME_HEADER, PREFIX
from stages.sources.sens_writer import RgbdFrame, intrinsic_matrix, write_sens
from tests.worlds.recordings import encode_color, header, look_at, make_room, render

COLOR_SIZE, DEPTH_SIZE = (1296, 968), (640, 480)
COLOR, DEPTH = intrinsic_matrix(1170, 1170, 648, 484), intrinsic_matrix(577, 577, 320, 240)
STRIDE = 25


def write_long_recording(
    path: Path,
    *,
    num_frames: int,
    num_pictures: int = 8,
    color_size: tuple[int, int] = COLOR_SIZE,
) -> None:
    """Write a recording whose payloads compress about as ScanNet's; its pictures repeat."""
    generator = np.random.default_rng(0)
    room = make_room(generator)
    size = room.boxes[0, 1]
    pictures = []
    for index in range(num_pictures):
        angle = 2 * np.pi * index / num_pictures
        ahead = size / 2 + 2 * np.array([np.cos(angle), np.sin(angle), -0.3])
        pose = look_at(size * (0.5, 0.5, 0.6), ahead)
        depth, _ = render(room, pose, DEPTH, DEPTH_SIZE)
        _, color = render(room, pose, COLOR, color_size)
        depth += generator.normal(0, 0.0015, depth.shape) * depth**2
        texture = generator.normal(0, 3, color.shape)
        encoded = encode_color(np.clip(color + texture, 0, 255).astype(np.uint8))
        frame = RgbdFrame(encoded, np.rint(depth * 1000).astype(np.uint16), pose, 0, 0)
        pictures.append((frame, zlib.compress(frame.depth.tobytes())))
    about = header(color_size=color_size, depth_size=DEPTH_SIZE,
                   color_intrinsics=COLOR, depth_intrinsics=DEPTH)  # fmt: skip
    with write_sens(path, about) as writer:
        for index in range(num_frames):
            writer.append_encoded(*pictures[index // STRIDE % num_pictures])


def run_extract(path: Path) -> int:
    """This project's stage, one worker; returns the number of kept frames."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        report = extract.run(
            ExtractConfig(),
            scenes=scenes_from_files([path], "train").scenes,
            frames=Path(folder) / "frames",
            points=Path(folder) / "points.zarr",
        )
    assert not report.failed
    return report.statuses["kept"]


def run_bare(path: Path) -> int:
    """Seek, inflate, back-project all pixels by Open3D, keep nothing."""
    open3d = load_open3d()
    width, height = DEPTH_SIZE
    camera = open3d.camera.PinholeCameraIntrinsic(width, height, 577, 577, 320, 240)
    kept = 0
    with open(path, "rb", buffering=0) as file:
        num_frames = _skip_header(file)
        for index in range(num_frames):
            *_, color_bytes, depth_bytes = FRAME_HEADER.unpack(file.read(FRAME_HEADER.size))
            file.seek(color_bytes, 1)
            if index % STRIDE:
                file.seek(depth_bytes, 1)
                continue
            depth = np.frombuffer(zlib.decompress(file.read(depth_bytes)), np.uint16)
            image = open3d.geometry.Image(depth.reshape(height, width))
            cloud = open3d.geometry.PointCloud.create_from_depth_image(
                image, camera, depth_scale=1000.0, depth_trunc=1000.0
            )
            kept += len(np.asarray(cloud.points)) > 0
    return kept


def run_reference(path: Path) -> int:
    """Read every frame byte by byte and hold it, then inflate and back-project every 25th."""
    frames = []
    with open(path, "rb") as file:
        num_frames = _skip_header(file)
        for _ in range(num_frames):
            pose = np.asarray(struct.unpack("f" * 16, file.read(64)), np.float32).reshape(4, 4)
            struct.unpack("QQ", file.read(16))
            color_bytes, depth_bytes = struct.unpack("QQ", file.read(16))
            color = b"".join(struct.unpack("c" * color_bytes, file.read(color_bytes)))
            depth = b"".join(struct.unpack("c" * depth_bytes, file.read(depth_bytes)))
            frames.append((pose, color, depth))
    v, u = np.mgrid[: DEPTH_SIZE[1], : DEPTH_SIZE[0]]
    kept = 0
    for _, _, depth in frames[::STRIDE]:
        z = np.frombuffer(zlib.decompress(depth), np.uint16).reshape(v.shape) / 1000.0
        points = np.stack([(u - 320) * z / 577, (v - 240) * z / 577, z], axis=-1)[z > 0]
        kept += len(points) > 0
    return kept


VARIANTS = {"extract": run_extract, "bare": run_bare, "reference": run_reference}


def _skip_header(file: object) -> int:
    """Move to the first frame and return the number of frames."""
    read = file.read  # type: ignore[attr-defined]
    _, name_bytes = PREFIX.unpack(read(PREFIX.size))
    read(name_bytes)
    return int(FIXED_HEADER.unpack(read(FIXED_HEADER.size))[-1])


def peak_memory_mb() -> float:
    """Most memory this process ever held; getrusage would count its parent's from before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) / 1e3


def measure(variant: str, path: Path, warm_up: Path) -> dict[str, float]:
    """Run one variant in a process of its own: kept frames a second, and peak memory in MB."""
    command = [sys.executable, "-m", "tests.benchmarks.extract", variant, str(path), str(warm_up)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(num_frames: int = 1000, rounds: int = 3) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path, longer, warm_up = (Path(folder) / f"{name}.sens" for name in ("a", "b", "c"))
        write_long_recording(warm_up, num_frames=1, num_pictures=1)
        write_long_recording(path, num_frames=num_frames)
        write_long_recording(longer, num_frames=4 * num_frames)
        with SensReader(path) as sens:
            size = sens.size_bytes / 1e6
        print(f"{num_frames} frames, {size:.0f} MB, {-(-num_frames // STRIDE)} to keep, one core")
        runs = [{name: measure(name, path, warm_up) for name in VARIANTS} for _ in range(rounds)]
        ours_longer = measure("extract", longer, warm_up)
    rate = {name: statistics.median(run[name]["rate"] for run in runs) for name in VARIANTS}
    for name in VARIANTS:
        memory = statistics.median(run[name]["peak_mb"] for run in runs)
        print(f"  {name:<10} {rate[name]:8.1f} kept frames/s   {memory:6.0f} MB at most")
    for name in ("bare", "reference"):
        ratio = statistics.median(run["extract"]["rate"] / run[name]["rate"] for run in runs)
        print(f"  extract / {name:<10} {ratio:6.2f} x")
    grown = ours_longer["peak_mb"] / statistics.median(r["extract"]["peak_mb"] for r in runs)
    print(f"  extract's peak memory on four times the file: {grown:.2f} x")


if __name__ == "__main__":
    function, file = VARIANTS[sys.argv[1]], Path(sys.argv[2])
    function(Path(sys.argv[3]))  # imports and first calls are not what is measured
    start = time.perf_counter()
    num_kept = function(file)
    seconds = time.perf_counter() - start
    print(json.dumps({"rate": num_kept / seconds, "peak_mb": peak_memory_mb()}))
