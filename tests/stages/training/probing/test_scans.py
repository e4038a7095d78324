"""The frozen probe on scans."""

import copy
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cache.scene_group import Listing
from pipeline.cli import app
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import EncoderShape
from stages.training.probing.scans import View, features_of, learn, shown
from stages.training.probing.shapes import settle_norms
from stages.training.tasks.segmentation.scenes import load_scenes
from tests.worlds.scans import prepare_golden_scans

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
    said = invoke(world, "probe", str(run), "--data", "scannet")
    found = json.loads((run / "probe_scannet.json").read_text())
    assert [row["epoch"] for row in found["curve"]] == [2, 4]
    for row in (found["random"], *found["curve"]):
        assert len(row["miou"]["runs"]) == found["seeds"] == 3
    # Other weights and other draws each time; of the trained ones only other draws.
    assert len(set(found["random"]["accuracy"]["runs"])) == 3
    differences = [
        one - other
        for one, other in zip(
            found["curve"][-1]["miou"]["runs"], found["random"]["miou"]["runs"], strict=True
        )
    ]
    assert found["difference"]["runs"] == differences
    assert "random weights   mIoU" in said
    assert "seed for seed; one pre-training" in said
    assert (run / "probe_scannet.png").is_file()


def test_the_same_twice_and_frozen(world: Path) -> None:
    scenes = load_scenes(Listing.read(world / "scans" / "scannet.zarr"), ("val",), CPU)
    encoder = PointEncoder(SMALL).eval()
    look = View(num_points=128)
    first, second = (features_of(encoder, scenes, torch.tensor([0]), look) for _ in range(2))
    assert first[0].shape == (1, 128, 24)
    torch.testing.assert_close(first, second)
    assert not first[0].requires_grad


def test_the_norms_of_random_weights_see_the_data(world: Path) -> None:
    """Else the control would be handicapped: its features would be a hundredth of what they are in use."""
    scenes = load_scenes(Listing.read(world / "scans" / "scannet.zarr"), ("train",), CPU)
    clouds = [shown(scenes, torch.tensor([row]), View(num_points=256))[0] for row in (0, 1)]
    encoder = PointEncoder(SMALL).eval()
    fresh = copy.deepcopy(encoder)
    settle_norms(encoder, clouds)
    assert not any(module.training for module in encoder.modules())
    for (name, before), after in zip(fresh.named_parameters(), encoder.parameters(), strict=True):
        assert torch.equal(before, after), name
    norm = encoder.embedding.norm1
    given: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].var(dim=0)))
    for cloud in clouds:
        encoder(cloud)
    torch.testing.assert_close(
        norm.running_var, torch.stack(given).mean(dim=0), rtol=1e-4, atol=1e-8
    )
    assert norm.running_var.median() < 0.1 * fresh.embedding.norm1.running_var.median()


def test_a_linear_layer_learns_what_is_linear() -> None:
    torch.manual_seed(0)
    features = torch.randn(2000, 6)
    label = (features[:, 2] > 0).long() + 4
    layer = learn(features, label, 20, seed=0)
    assert (layer(features).argmax(dim=1) == label).float().mean() > 0.97


def test_what_is_no_run_is_refused(world: Path) -> None:
    said = CliRunner().invoke(
        app,
        [
            "probe",
            str(world / "scans" / "scannet.zarr"),
            "--data",
            "scannet",
            "--workspace",
            str(world),
        ],
    )
    assert said.exit_code == 1
    assert "expected the folder of a run or of a checkpoint" in str(said.exception)
