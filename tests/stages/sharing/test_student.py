"""A student used outside sees a cloud as in its training, and says what it predicts as the teacher does."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from cache.card import Card
from cache.checkpoint import META, WEIGHTS, Meta, write_checkpoint
from cache.scene_group import Listing
from pipeline.config import load_section
from stages.geometry.cloud_input import CloudInput
from stages.geometry.normalise import normalise
from stages.geometry.pointops import nearest_neighbors
from stages.loop.tensors import to_arrays
from stages.sharing.student import load_student
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import EncoderShape, SegmenterShape
from stages.training.pretraining import pretrain
from stages.training.pretraining.clouds import Clouds, Sources, load_clouds
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.objectives.distillation import Target
from stages.training.weights.build import input_of, load_model
from stages.training.weights.first_weights import load_initial, shown_otherwise
from tests.worlds.pairs import SMALL_YAML, write_world

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("student")
    write_world(root)
    (root / "small.yaml").write_text(SMALL_YAML)
    for name, changes in {
        "sphere": ["norm_input=unit_sphere", "num_points=256"],
        "plain": ["norm_input=metric", "num_points=256", "target_norm=none"],
    }.items():
        config = load_section(
            str(root / "small.yaml"), "pretrain", PretrainConfig,
            [f"pretrain.{change}" for change in (f"name={name}", *changes)],
        )  # fmt: skip
        pretrain.run(
            config, frames=root / "frames", points=root / "points.zarr",
            store=root / "teacher" / "t.zarr", out=root / "pretrain" / name, device=CPU,
        )  # fmt: skip
    return root


def sources_of(world: Path) -> Sources:
    stores = (world / "points.zarr", world / "teacher" / "t.zarr")
    return Sources(world / "frames", *map(Listing.read, stores), CPU)


def clouds_of(world: Path, name: str) -> Clouds:
    config = PretrainConfig.model_validate(
        json.loads((world / "pretrain" / name / "run.json").read_text())["config"]
    )
    return load_clouds(config, ("val",), sources_of(world))


@pytest.mark.parametrize("name", ["sphere", "plain"])
def test_metres_go_in_and_the_teachers_numbers_come_out(world: Path, name: str) -> None:
    clouds = clouds_of(world, name)
    student = load_student(world / "pretrain" / name)
    rows = torch.arange(len(clouds.pairs))
    metres = clouds.pairs.metres(rows)  # all 256 points were drawn: only their order differs
    shown, plain = normalise(metres, student.input.normalisation), clouds.plain(rows).points
    for one, other in zip(shown, plain, strict=True):
        assert nearest_neighbors(one[None], other[None], 1)[0].max() < 1e-5
    predicted = torch.stack([student(cloud).prefix for cloud in metres])
    statistics = student.network.target_mean, student.network.target_std
    target = (clouds.pairs.target("prefix", rows) - statistics[0]) / statistics[1]
    error = ((predicted - statistics[0]) / statistics[1] - target).square().mean().item()
    result = json.loads((world / "pretrain" / name / "result.json").read_text())
    assert error == pytest.approx(result["last"]["val_loss"], rel=0.02)
    centers = student(metres[0]).centers
    own, _ = nearest_neighbors(centers[None], metres[:1], 1)
    assert own.max() < 1e-5  # some of the cloud's own points


def test_standardised_targets_are_brought_back(world: Path) -> None:
    clouds = clouds_of(world, "sphere")
    statistics = Target(*clouds.pairs.target_statistics("prefix"))
    target = clouds.pairs.target("prefix", torch.arange(8))
    network = load_student(world / "pretrain" / "sphere").network
    network.target_mean.copy_(statistics.mean)
    network.target_std.copy_(statistics.std)
    torch.testing.assert_close(network.to_target(statistics.standardised(target)), target)


def test_a_wrong_cloud_is_refused_in_words(world: Path) -> None:
    student = load_student(world / "pretrain" / "sphere")
    with pytest.raises(
        ValueError, match=r"at least 256 points, \(P, 3\) in metres; found \(100, 3\)"
    ):
        student(torch.rand(100, 3))
    with pytest.raises(ValueError, match="not finite"):
        student(torch.full((300, 3), torch.nan))
    assert student(torch.rand(1000, 3)).patches.shape == (8, 24)


def test_checkpoints_of_earlier_versions_take_it_from_their_run(
    world: Path, tmp_path: Path
) -> None:
    for name in ("sphere", "plain"):
        folder = tmp_path / name
        folder.mkdir()
        meta = json.loads((world / "pretrain" / name / "last" / META).read_text())
        del meta["model"]["input"]
        (folder / META).write_text(json.dumps(meta))
        arrays = load_file(world / "pretrain" / name / "last" / WEIGHTS)
        save_file(
            {k: v for k, v in arrays.items() if not k.startswith("target_")}, folder / WEIGHTS
        )
    now, earlier = load_student(world / "pretrain" / "plain"), load_student(tmp_path / "plain")
    assert now.input == earlier.input
    cloud = torch.rand(256, 3)
    np.testing.assert_array_equal(now(cloud).prefix, earlier(cloud).prefix)
    with pytest.raises(ValueError, match=r"does not say their mean and deviation; train it again"):
        load_student(tmp_path / "sphere")(cloud)


def test_a_task_that_shows_another_scale_says_so(world: Path) -> None:
    initial = load_initial(str(world / "pretrain" / "plain"))
    segmenter = {"shape": {"norm_input": "unit_sphere"}}
    assert shown_otherwise(initial, segmenter) == (
        "its weights learned from clouds in metric, this task shows them in unit_sphere; norm_input changes it"
    )
    assert shown_otherwise(load_initial(str(world / "pretrain" / "sphere")), segmenter) is None


def test_metric_of_an_earlier_segmenter_means_centred_as_it_did(tmp_path: Path) -> None:
    small = EncoderShape(width=12, depth=1, num_heads=2, num_patches=8, patch_size=4)
    shape = SegmenterShape(encoder=small, norm_input="metric", widths=(8, 8))
    arrays = to_arrays(SceneSegmenter(shape).state_dict())
    about = {"kind": "scene segmenter", "shape": shape.model_dump(mode="json")}
    shown = []
    for version in (1, 2):
        run = Card("fine-tuning: segmentation", version, {"num_points": 64}, {})
        meta = Meta(about, run, {"step": 0})
        write_checkpoint(tmp_path / str(version), meta, arrays, None)
        shown.append(load_model(tmp_path / str(version)).shape.norm_input)
        assert input_of(meta) == CloudInput(num_points=64, normalisation="metric", frame="aligned")
    assert shown == ["center", "metric"]
