"""`finetune detection` as a user runs it, on the reference's tiny scenes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from cache.runs import read_shown
from cache.scene_group import Listing
from pipeline.cli import app
from stages.loop.loop import NonFiniteError
from stages.training.networks.detector import Detector
from stages.training.tasks.detection import scenes
from stages.training.weights.build import load_model
from tests.conftest import real_data
from tests.worlds.scans import evaluated, prepare_golden_scans, prepare_real_scan

YAML = """
detection:
  name: a
  num_points: 512
  cuboid_min_points: 256
  encoder: {width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 32, patch_size: 8}
  own: {num_tokens: 32, width: 16, layers: 1}
  decoder_width: 32
  decoder_layers: 2
  num_queries: 16
  test_draws: 2
  training: {epochs: 2, batch: 2, lr: 0.001, warmup_epochs: 1, precision: fp32}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannet")
    prepare_golden_scans(root)
    (root / "small.yaml").write_text(YAML)
    return root


@pytest.mark.parametrize("kind", ["student", "3detr"])
def test_both_encoders(world: Path, kind: str) -> None:
    said = CliRunner().invoke(
        app, ["finetune", "detection", "--init", "scratch", "--device", "cpu", "--config",
              str(world / "small.yaml"), "--workspace", str(world), "--set", f"detection.kind={kind}",
              "--set", f"detection.name={kind}"], catch_exceptions=False,
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "val_ap25" in said.output
    run = world / "finetune" / "detection" / kind / "seed0"
    final = json.loads((run / "result.json").read_text())["final"]
    assert final["test_draws"] == 2
    assert set(final["by_class"]) == {"ap25", "ap50"}
    assert {"val_ap25_there", "val_ap50_there"} <= set(final)
    boxes = read_shown(run)["boxes"]
    assert boxes[0]["scene"] == "scene0903_00"
    assert len(boxes[0]["true"]) == 7
    assert (run / "boxes.png").is_file()
    assert "plotly" in (run / "boxes.html").read_text()
    table = (run.parent / "by_class.csv").read_text().splitlines()
    assert table[0] == "class,ap25,ap25 std,ap50,ap50 std"
    assert isinstance(load_model(run / "last"), Detector)
    assert evaluated(world, run) == final


def test_a_run_that_diverges_is_stopped_with_its_batch_saved(world: Path) -> None:
    said = CliRunner().invoke(
        app, ["finetune", "detection", "--init", "scratch", "--device", "cpu", "--config",
              str(world / "small.yaml"), "--workspace", str(world), "--set", "detection.name=wild",
              "--set", "detection.training.lr=1e30", "--set", "detection.training.warmup_epochs=0"],
    )  # fmt: skip
    assert isinstance(said.exception, NonFiniteError)
    saved = world / "finetune" / "detection" / "wild" / "seed0" / "nonfinite"
    assert f"weights before it, are in {saved}" in str(said.exception)
    assert load_file(saved / "batch.safetensors")["rows"].shape == (2,)


@pytest.mark.slow
def test_a_real_scan_is_learned_by_heart(tmp_path: Path) -> None:
    """Each step draws other points of it, and so does the evaluation: it takes many steps to know them all."""
    prepare_real_scan(tmp_path, real_data("scannet_votenet_format"))
    (tmp_path / "small.yaml").write_text("""
detection:
  name: heart
  augment: false
  num_points: 8192
  encoder: {width: 96, depth: 4, num_heads: 6, patch_hidden: 64, num_patches: 512, drop_path: 0}
  decoder_width: 192
  decoder_layers: 3
  num_queries: 192
  dropout: 0
  head_dropout: 0
  training: {epochs: 4800, batch: 1, lr: 0.001, weight_decay: 0, warmup_epochs: 30, clip_norm: 1,
             schedule: cosine, validate_every_epochs: 800, precision: fp32}
""")
    said = CliRunner().invoke(
        app, ["finetune", "detection", "--init", "scratch", "--device", "cpu", "--config",
              str(tmp_path / "small.yaml"), "--workspace", str(tmp_path)], catch_exceptions=False,
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    run = tmp_path / "finetune" / "detection" / "heart" / "seed0"
    final = json.loads((run / "result.json").read_text())["final"]
    assert final["classes_there"] == 13
    # Over the classes that this scene has; 3DETR's mean counts the five that it lacks as 0.
    assert final["val_ap50_there"] >= 0.9


def test_votenets_freeze_keeps_the_same_vertices(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "FROZEN_VERTICES", 100)
    store, cpu = Listing.read(world / "scans" / "scannet.zarr"), torch.device("cpu")
    whole = scenes.load_scenes(store, "val", cpu)
    frozen, again = (scenes.load_scenes(store, "val", cpu, "votenet_50k") for _ in range(2))
    assert int(frozen.count[0]) == 100
    torch.testing.assert_close(frozen.vertices, again.vertices)
    assert {tuple(v) for v in frozen.vertices.tolist()} <= {
        tuple(v) for v in whole.vertices.tolist()
    }
    torch.testing.assert_close(frozen.boxes, whole.boxes)
