"""A teacher small enough for tests, and captions to train it on."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cache.captions import CaptionedImage, write_captions
from cache.card import Card
from stages.precompute.teacher import teacher_cache, teacher_train
from stages.precompute.teacher.caption_config import (
    SmallLanguageModel,
    SmallTower,
    TeacherTrainConfig,
)
from stages.precompute.teacher.teacher_cache import CacheReport
from stages.precompute.teacher.teachers import Teacher, TeacherConfig

COLORS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 50, 220)}
CONFIG = TeacherTrainConfig(
    name="tiny",
    small_tower=SmallTower(image_size=32, embed_dim=16),
    train_tower=True,
    small_language_model=SmallLanguageModel(width=64, layers=1, vocabulary=300),
    prefix_length=3,
    epochs=2,
    batch_images=8,
    lr=3e-3,
    warmup_steps=2,
    shift=0.1,
    flip=True,
    word_loss=1.0,
    precision="fp32",
)


CACHE = TeacherConfig(name="tiny", source="trained", trained="tiny", batch_images=3)


def jpeg(color: tuple[int, int, int], seed: int = 0) -> bytes:
    """A noisy picture of one colour, (40, 48)."""
    noise = np.random.default_rng(seed).normal(0, 20, (40, 48, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(noise + color, 0, 255).astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


def write_color_captions(path: Path, *, train: int = 24, val: int = 6) -> None:
    """Pictures of one colour each, and two sentences that name it."""
    items = []
    for index in range(train + val):
        name = list(COLORS)[index % len(COLORS)]
        items.append(
            CaptionedImage(
                image=jpeg(COLORS[name], index),
                captions=(f"a {name} wall", f"there is a {name} wall in a room"),
                scene_id=f"scene{index:04d}_00",
                frame_index=index,
                split="train" if index < train else "val",
            )
        )
    write_captions(path, items, Card("colours", 1, {}, {}))


def train_tiny(folder: Path, config: TeacherTrainConfig = CONFIG, *, workers: int = 0) -> Path:
    """Train on the colours and return the teacher's folder."""
    captions = folder / "captions.parquet"
    if not captions.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_color_captions(captions)
    out = folder / "teacher" / config.name
    teacher_train.run(
        config, captions=captions, out=out, device=torch.device("cpu"), workers=workers
    )
    return out


def run_cache(
    workspace: Path, teacher: Teacher, out: Path, config: TeacherConfig = CACHE, **options: object
) -> CacheReport:
    """Cache what a teacher says of a workspace, in this process."""
    return teacher_cache.run(
        config, teacher, frames=workspace / "frames", points=workspace / "points.zarr",
        store=out / "teacher" / f"{config.name}.zarr", **{"workers": 0, **options},
    )  # fmt: skip
