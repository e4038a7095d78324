"""`finetune segmentation` and `predict` as a user runs them, on the reference's tiny scenes."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from cache.runs import read_shown
from cache.scannet_classes import SCANNET
from cache.scans import read_scan
from cache.scene_group import Listing
from pipeline.cli import app
from stages.loop.random_numbers import plain_draws
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import EncoderShape
from stages.training.tasks.segmentation.config import SegmentationConfig
from stages.training.tasks.segmentation.scenes import augmented, load_scenes
from stages.training.tasks.segmentation.scores import classes_of
from stages.training.tasks.votes import vote_over_points
from stages.training.weights.build import load_model
from tests.conftest import real_data
from tests.worlds.scans import THIRD, evaluated, prepare_golden_scans, prepare_real_scan

CPU = torch.device("cpu")
YAML = """
segmentation:
  name: a
  num_points: 256
  encoder: {width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 24, patch_size: 8}
  head_widths: [16, 16]
  test_draws: 2
  vote_rounds: 2
  training: {epochs: 2, batch: 2, optimizer: adam, lr: 0.003, warmup_epochs: 1, precision: fp32}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannet")
    prepare_golden_scans(root)
    (root / "small.yaml").write_text(YAML)
    return root


def finetune(root: Path, *options: str) -> str:
    said = CliRunner().invoke(
        app, ["finetune", "segmentation", "--init", "scratch", "--device", "cpu", "--config",
              str(root / "small.yaml"), "--workspace", str(root), *options], catch_exceptions=False,
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    return said.output


def test_a_run_and_its_prediction(world: Path) -> None:
    said = finetune(world)
    assert "val_vertices_miou" in said
    run = world / "finetune" / "segmentation" / "a" / "seed0"
    final = json.loads((run / "result.json").read_text())["final"]
    scan = read_scan(world / "scans" / "scannet.zarr", THIRD)
    assert scan.semantic is not None
    labelled = np.isin(scan.semantic, SCANNET.segmentation.ids).sum()
    # Every labelled vertex is judged, once.
    assert np.array(final["confusion_of_vertices"]).sum() == labelled
    assert read_shown(run)["scenes"][0]["scene"] == THIRD
    assert (run / "scenes.png").is_file()
    assert "plotly" in (run / "scenes.html").read_text()
    assert isinstance(load_model(run / "last"), SceneSegmenter)
    assert evaluated(world, run) == final

    arguments = [
        "predict",
        str(run),
        "--split",
        "val",
        "--workspace",
        str(world),
        "--device",
        "cpu",
    ]
    said = CliRunner().invoke(app, arguments, catch_exceptions=False).output
    assert "1 scan of val" in said
    ids = np.loadtxt(run / "predictions" / "val" / f"{THIRD}.txt", dtype=int)
    assert len(ids) == len(scan.vertices)
    assert set(ids) <= set(SCANNET.segmentation.ids)
    with zipfile.ZipFile(run / "predictions" / "val.zip") as archive:
        assert archive.namelist() == [f"{THIRD}.txt"]


@pytest.mark.parametrize("model", ["dgcnn", "pointnet2"])
def test_rivals_are_trained_and_judged_the_same(world: Path, model: str) -> None:
    said = finetune(
        world, "--set", f"segmentation.model={model}", "--set", f"segmentation.name={model}",
        "--set", "segmentation.training.epochs=1", "--set", "segmentation.vote_rounds=1",
    )  # fmt: skip
    assert "val_miou" in said


def test_predict_says_what_it_needs(world: Path) -> None:
    said = CliRunner().invoke(app, ["predict", str(world), "--workspace", str(world)])
    assert said.exit_code == 1
    assert "the folder of a run of finetune segmentation" in str(said.exception)


def test_draws_are_distinct_vertices_with_their_labels(world: Path) -> None:
    scenes = load_scenes(Listing.read(world / "scans" / "scannet.zarr"), ("train",), CPU)
    points, label = scenes.draw(torch.tensor([1, 0]), 100, plain_draws(3, 2, CPU))
    for place, row in enumerate((1, 0)):
        part = scenes.part(row)
        vertices = scenes.vertices[part].tolist()
        # A scene's vertices are distinct, so a point tells which one it is.
        where = [vertices.index(point) for point in points[place].tolist()]
        assert len(set(where)) == 100
        torch.testing.assert_close(scenes.label[part][where], label[place])


def test_a_small_scene_repeats_its_vertices(world: Path) -> None:
    scenes = load_scenes(Listing.read(world / "scans" / "scannet.zarr"), ("val",), CPU)
    count = int(scenes.count[0])
    points, _ = scenes.draw(torch.tensor([0]), count + 5, plain_draws(0, 1, CPU))
    assert len(points[0].unique(dim=0)) == len(scenes.vertices.unique(dim=0))


def test_augmentation_turns_about_z_and_scales() -> None:
    points = torch.rand(4, 50, 3) * 5
    with torch.autocast("cpu", torch.bfloat16):  # which must not round them
        moved = augmented(points, plain_draws(1, 4, CPU), (0.9, 1.1))
    before, after = (x - x.mean(dim=1, keepdim=True) for x in (points, moved))
    factor = after.norm(dim=-1) / before.norm(dim=-1)
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor))
    assert ((factor > 0.9) & (factor < 1.1)).all()
    torch.testing.assert_close(after[..., 2], before[..., 2] * factor)
    assert not torch.allclose(after[..., 0], before[..., 0] * factor, atol=0.1)


def test_patches_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="takes 3 patches"):
        SegmentationConfig(encoder=EncoderShape(num_patches=2))


class HeightNet(nn.Module):
    """Class 1 above half a metre, else class 0."""

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        high = (points[..., 2] > 0.5).float()
        return torch.stack([1 - high, high], dim=-1) * 10


def test_every_vertex_gets_its_votes() -> None:
    vertices = torch.rand(103, 3)
    votes = vote_over_points(HeightNet(), vertices, 25, 3, 2, seed=0)
    torch.testing.assert_close(votes.argmax(dim=1), (vertices[:, 2] > 0.5).long())
    counts = votes.sum(dim=1).round().long()
    assert counts.min() == 3  # once a round, and a few more to fill the last cloud
    assert counts.sum() == 3 * 125


@pytest.mark.slow
def test_a_real_scan_is_learned_by_heart(tmp_path: Path) -> None:
    # Of all vertices the same ones can be seen in each step, only the patches are others. The head
    # sees no point's own place, only its nearest patches, so it takes many.
    prepare_real_scan(tmp_path, real_data("scannet_votenet_format"), every=20)
    (tmp_path / "small.yaml").write_text("""
segmentation:
  name: heart
  augment: false
  dropout: 0.0
  num_points: 4069
  encoder: {width: 128, depth: 3, num_heads: 4, patch_hidden: 64, num_patches: 2048, patch_size: 8, drop_path: 0}
  head_widths: [512, 256]
  vote_rounds: 2
  training: {epochs: 800, batch: 1, optimizer: adam, lr: 0.002, weight_decay: 0, warmup_epochs: 20,
             validate_every_epochs: 100, precision: fp32}
""")
    finetune(tmp_path)
    run = tmp_path / "finetune" / "segmentation" / "heart" / "seed0"
    final = json.loads((run / "result.json").read_text())["final"]
    scan = read_scan(tmp_path / "scans" / "scannet.zarr", "scene0000_01")
    assert scan.semantic is not None
    assert (
        len(final["by_class"]["points"])
        >= len(np.unique(classes_of(scan.semantic, SCANNET.segmentation.ids))) - 1
    )
    assert final["val_miou"] >= 0.95
