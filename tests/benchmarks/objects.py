"""An epoch of classification with the shapes resident, beside reading each one's text file.

- text: as Point-MAE's loader without its own cache: each sample's file of 10,000 lines is parsed, put
  into the unit sphere, sampled to the 1200 farthest points (on the device, as it does), then 1024 of
  them, augmented;
- resident: this project's: `prepare` once, then drawn and augmented on the device.

Batches alone, and with the training step of the paper's classifier.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cache.data_sets import ObjectSet
from cache.scene_group import Listing
from stages.geometry.pointops import farthest_point_sample, gather_points
from stages.loop.optim import parameter_groups
from stages.loop.random_numbers import plain_draws
from stages.machine.device import choose_device
from stages.precompute.downstream import prepare_objects
from stages.precompute.downstream.prepare_objects import ObjectsConfig
from stages.sources import modelnet40
from stages.training.augment import draw_points, scale_and_translate
from stages.training.augmentation import SCALE, TRANSLATION
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.shapes import ClassifierShape
from stages.training.tasks.shapes import Shapes, load_shapes

SHAPES, LINES, ROUNDS = 96, 10_000, 3
POOL, POINTS = 1200, 1024


def write_set(root: Path) -> list[str]:
    """A data set of random clouds in ModelNet40's text layout."""
    generator = np.random.default_rng(0)
    ids = [f"{modelnet40.CLASSES[n % 40]}_{n // 40 + 1:04d}" for n in range(SHAPES)]
    modelnet40.write_lists(root, {"train": ids, "test": ids[:1]})
    for shape_id in ids:
        points = generator.normal(size=(LINES, 3))
        modelnet40.write_shape(root, shape_id, points, points)
    return ids


def text_batch(root: Path, ids: list[str], seed: int, device: torch.device) -> Tensor:
    """Parse, normalise, sample, augment."""
    clouds = []
    for shape_id in ids:
        points = np.loadtxt(modelnet40.shape_file(root, shape_id), delimiter=",", dtype=np.float32)[
            :, :3
        ]
        points = points - points.mean(axis=0)
        clouds.append(points / np.sqrt((points**2).sum(axis=1)).max())
    points = torch.from_numpy(np.stack(clouds)).to(device)
    pool = gather_points(points, farthest_point_sample(points, POOL))
    return _drawn(pool, seed)


def resident_batch(shapes: Shapes, rows: Tensor, seed: int) -> Tensor:
    """Draw and augment."""
    return _drawn(shapes.first(rows, POOL), seed)


def _drawn(pool: Tensor, seed: int) -> Tensor:
    draws = plain_draws(seed, len(pool), pool.device)
    return scale_and_translate(
        draw_points(pool, POINTS, draws), draws, scale=SCALE, translation=TRANSLATION
    )


def epoch_rate(
    batches: Callable[[int], Tensor], size: int, step: Callable[[Tensor], None]
) -> float:
    """Samples a second of an epoch."""
    start = time.perf_counter()
    for number in range(SHAPES // size):
        step(batches(number))
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return SHAPES / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    device, size = choose_device("auto"), 32
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ids = write_set(root / "set")
        start = time.perf_counter()
        prepare_objects.run(
            ObjectsConfig(), ObjectSet.MODELNET40, root=root / "set", store=root / "o.zarr"
        )
        prepared = time.perf_counter() - start
        shapes, _ = load_shapes(Listing.read(root / "o.zarr"), ("train",), device, keep=POOL)
        model = PointClassifier(ClassifierShape()).to(device).train()
        optimizer = torch.optim.AdamW(parameter_groups(model.named_parameters()))

        def train(points: Tensor) -> None:
            optimizer.zero_grad(set_to_none=True)
            label = torch.zeros(len(points), dtype=torch.long, device=device)
            F.cross_entropy(model(points), label).backward()
            optimizer.step()

        ways: dict[str, Callable[[int], Tensor]] = {
            "text": lambda n: text_batch(root / "set", ids[n * size : (n + 1) * size], n, device),
            "resident": lambda n: resident_batch(shapes, torch.arange(n * size, (n + 1) * size), n),
        }
        print(f"{SHAPES} shapes of {LINES} lines, {device}, {torch.get_num_threads()} threads; "
              f"prepared once in {prepared:.1f} s")  # fmt: skip
        steps: dict[str, Callable[[Tensor], None]] = {
            "batches alone": lambda _: None,
            "with training": train,
        }
        for name, step in steps.items():
            rates: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(ROUNDS if name == "batches alone" else 1):
                for way, batches in ways.items():
                    rates[way].append(epoch_rate(batches, size, step))
            text, ours = (statistics.median(rates[way]) for way in ways)
            print(f"  {name:<14}  resident {ours:9.1f} samples/s   text {text:7.1f}   "
                  f"resident / text {ours / text:.1f} x")  # fmt: skip
