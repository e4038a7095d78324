"""`finetune detection` as a user runs it, on the reference's tiny scenes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from stages.training.checkpoints import load_model
from stages.training.networks.detector import Detector
from stages.training.run_folder import read_shown
from tests.scans_world import prepare_golden_scans

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
