"""Points and targets as both stages leave them, without either: targets tell of the points' shape."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from typer.testing import CliRunner

from cache.card import Card
from cache.frames import FramesWriter, frames_path
from cache.points import PointsWriter, create_store
from cache.prefixes import write_scene
from cache.scene_group import create_group
from pipeline.cli import app
from pipeline.config import load_section
from stages.loop.loop import Outcome
from stages.training.pretraining import pretrain
from stages.training.pretraining.config import PretrainConfig

TARGET = (3, 8)
CLIP, PATCHES = 6, (16, 8)  # the tower's embedding, and its tokens of 4 x 4 image patches
SMALL_YAML = """
pretrain:
  name: tiny
  teacher: t
  num_points: 128
  encoder: {width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 8, patch_size: 8, drop_path: 0.0}
  objective: {kind: concepts, num_concepts: 4}
  norm_input: center
  scale: [1.0, 1.0]
  translation: 0.0
  target_norm: standardize
  training: {epochs: 4, batch: 8, lr: 0.003, warmup_epochs: 1, precision: fp32}
"""


def write_world(
    root: Path, *, train: int = 10, val: int = 2, frames: int = 8, points: int = 256
) -> None:
    """Boxes of random sizes, seen from a camera that looks level along the world's y."""
    for number in range(train + val):
        split = "train" if number < train else "val"
        write_boxes(root, f"scene{number:04d}_00", split, frames, seed=number, points=points)


def write_boxes(
    root: Path, scene_id: str, split: str, frames: int, seed: int, points: int = 256
) -> None:
    """One scene of `frames` boxes of points, (P, 3) each."""
    generator = np.random.default_rng(seed)
    sizes = generator.uniform(0.3, 2.0, (frames, 3))
    clouds = generator.uniform(-0.5, 0.5, (frames, points, 3)) * sizes[:, None] + [0, 0, 3]
    mixing = np.random.default_rng(99).normal(size=(3, *TARGET))
    targets = np.tensordot(sizes, mixing, axes=1).astype(np.float16)
    clip = sizes @ np.random.default_rng(98).normal(size=(3, CLIP))
    # What an image patch tells depends on the box and on where the patch is.
    place = np.stack(np.meshgrid(*2 * [np.linspace(-1, 1, 4)]), axis=-1).reshape(1, 16, 2)
    told = np.concatenate([sizes[:, None].repeat(16, 1), place.repeat(frames, 0)], axis=-1)
    patches = told @ np.random.default_rng(97).normal(size=(5, PATCHES[1]))
    others = {"clip": clip, "patches": patches}
    write_pair(root, scene_id, split, clouds, targets, [True] * frames, others=others)


def write_pair(
    root: Path,
    scene_id: str,
    split: str,
    clouds: np.ndarray,
    targets: np.ndarray,
    valid: Sequence[bool],
    *,
    frames: str | None = None,
    others: Mapping[str, np.ndarray] | None = None,
) -> None:
    """One scene's manifest, points and targets, and other arrays of its teacher's.

    `frames` is another fingerprint than its own.
    """
    count = len(clouds)
    create_store(root / "points.zarr")
    card = Card("extracted scene", 1, {}, {"scene_id": scene_id, "split": split},
                counts={"statuses": {"kept": count}}, details={"damage": None})  # fmt: skip
    writer = PointsWriter(
        root / "points.zarr" / scene_id, points_per_frame=clouds.shape[1], max_frames=count
    )
    for cloud in clouds:
        writer.append(cloud)
    writer.finish(card)
    _write_manifest(root / "frames", scene_id, split, count, card)
    identity = {"preprocessing": {"crop": "center", "size": 24}, "tower_sha256": "0" * 64,
                "precision": "fp32", "mapper_sha256": None}  # fmt: skip
    config = {"kind": "random", "source": "", "model": "boxes", "seed": 0}
    teacher = {"identity": identity, "config": config, "decoder": "none"}
    create_group(root / "teacher" / "t.zarr", {"teacher": teacher})
    inputs = {"split": split, "frames": frames or card.fingerprint}
    write_scene(root / "teacher" / "t.zarr" / scene_id, {"prefix": targets, **(others or {})}, np.array(valid),
                Card("teacher's prefixes", 1, {}, inputs, counts={"invalid": 0}))  # fmt: skip


def _write_manifest(frames: Path, scene_id: str, split: str, count: int, card: Card) -> None:
    """Images of 64 x 48, focal length 50; the first frame's pose is lost."""
    frames.mkdir(parents=True, exist_ok=True)
    intrinsics = [50.0, 0, 31.5, 0, 50, 23.5, 0, 0, 1]
    level = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], float)
    with FramesWriter(frames_path(frames, scene_id)) as writer:
        for row in range(count):
            writer.append(
                {
                    "scene_id": scene_id,
                    "frame_index": 25 * row,
                    "status": "kept",
                    "row": row,
                    "split": split,
                    "timestamp_color": 0,
                    "timestamp_depth": 0,
                    "depth_intrinsics": intrinsics,
                    "color_intrinsics": intrinsics,
                    "depth_to_color": np.eye(4).ravel().tolist(),
                    "depth_size": [64, 48],
                    "color_size": [64, 48],
                    "camera_to_world": level.ravel().tolist(),
                    "pose_valid": row > 0,
                    "num_valid_depth": 256,
                    "num_too_far": 0,
                    "image": {"bytes": b"", "path": ""},
                }
            )  # fmt: skip
        writer.finish(card)


def pretrained(root: Path) -> Path:
    """A short pre-training in a world of two rooms, and its folder."""
    write_world(root, train=2, val=1)
    (root / "small.yaml").write_text(SMALL_YAML)
    words = ["pretrain", "--config", str(root / "small.yaml"), "--workspace", str(root)]
    words += ["--device", "cpu", "--set", "pretrain.training.epochs=1"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    return root / "pretrain" / "tiny"


def pretrain_in(world: Path, out: Path, *changes: str, **options: object) -> Outcome | None:
    """Pre-train in a folder by the world's `small.yaml`, with `key=value` changes of it, on the CPU."""
    said = [f"pretrain.{change}" for change in changes]
    config = load_section(str(world / "small.yaml"), "pretrain", PretrainConfig, said)
    return pretrain.run(
        config, frames=world / "frames", points=world / "points.zarr",
        store=world / "teacher" / f"{config.teacher}.zarr" if config.teacher else None,
        out=out, device=torch.device("cpu"), **options,
    )  # type: ignore[arg-type]  # fmt: skip
