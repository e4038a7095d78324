"""`teacher-cache` beside the bare model's forward pass, at true size with random weights.

- bare: CLIP ViT-B/32 and ClipCap's MLP mapper over batches of pixels that lie ready in memory;
- teacher-cache: this project's stage on the same images as JPEG: read from the manifest, decoded in
  processes, cropped as CLIP does, mapped, stored in Zarr with checksums.

Images have ScanNet's size (1296 x 968) and its small one (640 x 480). On a CPU the decoding takes
cores from the model, on a GPU it does not.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch

from stages.machine.device import choose_device
from stages.precompute.recordings import extract
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.precompute.teacher import teacher_cache
from stages.precompute.teacher.teachers import Teacher, TeacherConfig, load_teacher
from stages.sources.scannet_layout import scenes_from_files
from tests.benchmarks.extract import write_long_recording

CONFIG = TeacherConfig(name="random", kind="random")
SIZES = {"1296 x 968": (1296, 968), "640 x 480": (640, 480)}
ROUNDS = 3


def run_bare(teacher: Teacher, num_images: int, device: torch.device) -> float:
    """Images a second of the forward pass alone."""
    pixels = torch.randint(0, 256, (CONFIG.batch_images, 224, 224, 3), dtype=torch.uint8)
    start = time.perf_counter()
    for first in range(0, num_images, CONFIG.batch_images):
        count = min(CONFIG.batch_images, num_images - first)
        teacher(pixels[:count].to(device))["prefix"].cpu()
    return num_images / (time.perf_counter() - start)


def run_stage(teacher: Teacher, root: Path, num_images: int, workers: int) -> float:
    """Images a second of the stage, its processes' start included."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        start = time.perf_counter()
        report = teacher_cache.run(
            CONFIG, teacher, frames=root / "frames", points=root / "points.zarr",
            store=Path(folder) / "teacher" / "random.zarr", workers=workers,
        )  # fmt: skip
        seconds = time.perf_counter() - start
    assert report.images == num_images
    return num_images / seconds


def main() -> None:
    """Print the table."""
    device = choose_device("auto")
    large = device.type == "cuda"
    num_frames, workers = (4096, 14) if large else (384, 1)
    teacher = load_teacher(CONFIG, trained=Path()).to(device)
    print(
        f"{num_frames} images, {device.type}, {torch.get_num_threads()} threads, {workers} decoding"
    )
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_long_recording(root / "a.sens", num_frames=num_frames, color_size=size)
            extract.run(
                ExtractConfig(stride_frames=1, points_per_frame=64),
                scenes=scenes_from_files([root / "a.sens"], "train").scenes,
                frames=root / "frames",
                points=root / "points.zarr",
            )
            run_bare(teacher, 2 * CONFIG.batch_images, device)  # a warm-up
            bare, ours = [], []
            for _ in range(ROUNDS):
                bare.append(run_bare(teacher, num_frames, device))
                ours.append(run_stage(teacher, root, num_frames, workers))
        ratio = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
        print(
            f"  {name:<10}  teacher-cache {statistics.median(ours):7.1f} images/s   bare "
            f"{statistics.median(bare):7.1f}   teacher-cache / bare {ratio:.2f} x"
        )
