"""Scene tasks under torchrun: two processes are as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.harness.running import free_port
from tests.worlds.scans import prepare_golden_scans

pytestmark = pytest.mark.processes

ENCODER = "{width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 24, patch_size: 8, drop_path: 0}"
TRAINING = "epochs: 3, batch: 2, lr: 0.0005, warmup_epochs: 1, precision: fp32"
YAML = f"""
segmentation:
  num_points: 256
  encoder: {ENCODER}
  head_widths: [16, 16]
  dropout: 0
  test_draws: 1
  vote_rounds: 1
  training: {{{TRAINING}, optimizer: adam}}
detection:
  num_points: 512
  cuboid_min_points: 256
  encoder: {ENCODER}
  decoder_width: 32
  decoder_layers: 2
  num_queries: 16
  dropout: 0
  head_dropout: 0
  test_draws: 1
  training: {{{TRAINING}}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannet")
    prepare_golden_scans(root)
    (root / "small.yaml").write_text(YAML)
    return root


def test_two_processes_are_as_one(world: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--master-port", str(free_port())]  # fmt: skip
    for name, arguments in (("one", []), ("two", launcher)):
        subprocess.run(
            [sys.executable, *arguments, "-m", "pipeline", "finetune-all", "--init", "scratch",
             "--device", "cpu", "--config", str(world / "small.yaml"), "--workspace", str(world),
             "--name", name],
            cwd=REPOSITORY, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    for task in ("segmentation", "detection"):
        runs = [world / "finetune" / task / name / "seed0" for name in ("one", "two")]
        lines = [
            [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            for run in runs
        ]
        for number, (first, second) in enumerate(zip(*lines, strict=True)):
            # Rounding changes which query is matched sooner or later, and then the weights.
            tolerance = 0.05 if number else 2e-3
            for key in ("loss", "grad_norm"):
                assert second[key] == pytest.approx(first[key], rel=tolerance), (task, key)
    tables = [json.loads((world / "finetune" / f"{n}.json").read_text()) for n in ("one", "two")]
    for table in tables:
        assert list(table["tasks"]) == ["segmentation", "detection"]
        assert set(table["left_out"]) == {"classification", "parts"}
