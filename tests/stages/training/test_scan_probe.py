"""The frozen probe on scans."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pipeline.cli import app
from stages.training.networks.encoder import EncoderShape, PointEncoder
from stages.training.scan_probe import Look, features_of, learn
from stages.training.tasks.segmentation.scenes import load_scenes
from tests.scans_world import prepare_golden_scans

CPU = torch.device("cpu")
SMALL = EncoderShape(
    width=24, depth=2, num_heads=2, patch_hidden=8, num_patches=24, patch_size=8, drop_path=0.0
)
ENCODER = "{width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 24, patch_size: 8}"
YAML = f"""
segmentation:
  name: a
  num_points: 256
  encoder: {ENCODER}
  head_widths: [16, 16]
  test_draws: 1
  vote_rounds: 1
  training: {{epochs: 4, batch: 2, lr: 0.003, warmup_epochs: 1, precision: fp32, keep_every_epochs: 2}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannet")
    prepare_golden_scans(root)
    (root / "small.yaml").write_text(YAML)
    return root


def invoke(root: Path, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(
        app, [*arguments, "--config", str(root / "small.yaml"), "--workspace", str(root), "--device", "cpu"],
    )  # fmt: skip
    assert result.exit_code == code, result.output
    return result.output or str(result.exception)


def test_a_curve_over_what_a_run_kept(world: Path) -> None:
    invoke(world, "finetune", "segmentation", "--init", "scratch")
    run = world / "finetune" / "segmentation" / "a" / "seed0"
    said = invoke(world, "probe", str(run), "--data", "scans")
    found = json.loads((run / "probe_scans.json").read_text())
    assert [row["epoch"] for row in found["curve"]] == [0, 2, 4]
    assert "random weights" in said
    assert (run / "probe_scans.png").is_file()


def test_the_same_twice_and_frozen(world: Path) -> None:
    scenes = load_scenes(world / "scans.zarr", ("val",), CPU)
    encoder = PointEncoder(SMALL).eval()
    look = Look(num_points=128)
    first, second = (features_of(encoder, scenes, torch.tensor([0]), look) for _ in range(2))
    assert first[0].shape == (1, 128, 24)
    torch.testing.assert_close(first, second)
    assert not first[0].requires_grad


def test_a_linear_layer_learns_what_is_linear() -> None:
    torch.manual_seed(0)
    features = torch.randn(2000, 6)
    label = (features[:, 2] > 0).long() + 4
    layer = learn(features, label, seed=0)
    assert (layer(features).argmax(dim=1) == label).float().mean() > 0.97


def test_what_is_no_run_is_refused(world: Path) -> None:
    said = CliRunner().invoke(
        app, ["probe", str(world / "scans.zarr"), "--data", "scans", "--workspace", str(world)]
    )
    assert said.exit_code == 1
    assert "expected the folder of a run or of a checkpoint" in str(said.exception)
