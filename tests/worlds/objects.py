"""A workspace of tiny sets of shapes in the official layouts, prepared, and commands run in it."""

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from pipeline.cli import app
from stages.sources import modelnet40, shapenetpart

CLASSES = ("bed", "bottle", "chair")
ENCODER = "{width: 24, depth: 3, num_heads: 2, patch_hidden: 8, num_patches: 8, patch_size: 8, drop_path: 0.0}"
YAML = f"""
prepare: {{fps_points: 80}}
classification:
  name: a
  num_points: 64
  encoder: {ENCODER}
  votes: 2
  vote_repeats: 2
  training: {{epochs: 8, batch: 6, lr: 0.003, warmup_epochs: 1, precision: fp32}}
parts:
  name: a
  num_points: 64
  encoder: {ENCODER}
  head_width: 32
  test_draws: 2
  training: {{epochs: 8, batch: 6, lr: 0.003, warmup_epochs: 1, precision: fp32}}
"""


def prepare_boxes(root: Path) -> None:
    """Boxes: flat, tall and cubic ones; of parts, the upper and the lower half."""
    (root / "small.yaml").write_text(YAML)
    generator = np.random.default_rng(0)
    sizes = {"bed": (1, 1, 0.2), "bottle": (0.2, 0.2, 1), "chair": (1, 1, 1)}
    ids = {
        "train": [f"{name}_{n:04d}" for name in CLASSES for n in range(1, 13)],
        "test": [f"{name}_{n:04d}" for name in CLASSES for n in range(13, 17)],
    }
    modelnet40.write_lists(root / "m40", ids)
    for shape_id in (*ids["train"], *ids["test"]):
        size = np.array(sizes[shape_id.split("_")[0]]) * generator.uniform(0.8, 1.2, 3)
        points = generator.uniform(-0.5, 0.5, (100, 3)) * size
        modelnet40.write_shape(root / "m40", shape_id, points, points)
    tokens = {"train": range(12), "val": range(12, 14), "test": range(14, 18)}
    names = ("Mug", "Knife")
    shapes = {
        s: [(name, f"t{n}") for name in names for n in numbers] for s, numbers in tokens.items()
    }
    shapenetpart.write_lists(root / "parts", shapes)
    for items in shapes.values():
        for name, token in items:
            points = generator.uniform(-0.5, 0.5, (90, 3))
            first = shapenetpart.CATEGORIES[name].parts.start
            part = first + (points[:, 1] > 0).astype(int)
            shapenetpart.write_shape(root / "parts", name, token, points, points, part)
    for data_set, folder in (("modelnet40", "m40"), ("shapenetpart", "parts")):
        said = invoke(root, "prepare", data_set, str(root / folder), "--workers", "1")
        assert "left out" not in said


def invoke(root: Path, *arguments: str, code: int = 0, fails: bool = False) -> str:
    """Run a command in a workspace with its `small.yaml`, and return what it says."""
    result = CliRunner().invoke(
        app, [*arguments, "--config", str(root / "small.yaml"), "--workspace", str(root)],
        catch_exceptions=fails,
    )  # fmt: skip
    assert result.exit_code == code, result.output
    return result.output
