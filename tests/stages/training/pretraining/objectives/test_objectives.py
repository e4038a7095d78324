"""Every objective as a user runs it: it learns, goes on exactly, is shared by processes, loads everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cache.checkpoint import STATE, WEIGHTS, read_arrays
from cache.runs import read_metrics
from distill3d import load_student
from pipeline.cli import app
from pipeline.config import load_section
from stages.loop.loop import Outcome
from stages.sharing.exported import export_student
from stages.training.networks.shapes import EncoderShape
from stages.training.pretraining.config import PretrainConfig
from stages.training.weights.build import load_model
from stages.training.weights.first_weights import load_initial
from stages.training.weights.frozen import load_encoder
from tests.conftest import REPOSITORY
from tests.harness.running import free_port
from tests.worlds.objectives import OBJECTIVES
from tests.worlds.pairs import CLIP, SMALL_YAML, pretrain_in, write_world

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("objectives")
    write_world(root)
    (root / "small.yaml").write_text(SMALL_YAML)
    return root


def config_of(world: Path, *changes: str) -> PretrainConfig:
    said = [f"pretrain.{change}" for change in changes]
    return load_section(str(world / "small.yaml"), "pretrain", PretrainConfig, said)


def run(world: Path, out: Path, *changes: str, **options: object) -> Outcome:
    outcome = pretrain_in(world, out, *changes, **options)
    assert outcome is not None
    return outcome


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_lowers_its_held_loss_and_goes_on_exactly(
    world: Path, tmp_path: Path, name: str
) -> None:
    changes = [f"objective={OBJECTIVES[name]}", "encoder.drop_path=0.1", "training.epochs=6"]
    outcome = run(world, tmp_path / "whole", *changes)
    lines = read_metrics(tmp_path / "whole")
    assert lines[-1]["val_loss"] < lines[0]["val_loss"]
    assert outcome.metrics["val_feature_rank"] > 1
    run(world, tmp_path / "parts", *changes, stop_after_epoch=2)
    run(world, tmp_path / "parts", *changes)
    for file in (WEIGHTS, STATE):
        whole, parts = (read_arrays(tmp_path / n / "last", file) for n in ("whole", "parts"))
        for key, value in whole.items():
            np.testing.assert_array_equal(value, parts[key], err_msg=key)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_checkpoint_loads_everywhere(world: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    run(world, out, f"objective={OBJECTIVES[name]}", "training.epochs=1")
    encoder = load_model(out / "last").encoder.state_dict()
    student = load_student(out)
    found = student(np.random.default_rng(0).normal(size=(300, 3)))
    assert found.patches.shape == (8, 24)
    shapes = {"clip": (None, (CLIP,))}
    predicts = name.startswith(("concepts", "pooled", "joint"))
    prefix, embedding = shapes.get(name, ((3, 8) if predicts else None, None))
    assert (found.prefix is None) == (prefix is None)
    assert prefix is None or found.prefix.shape == prefix
    assert embedding is None or found.embedding.shape == embedding
    exported = load_student(export_student(out, tmp_path / "shared"))
    for loaded in (student.encoder, exported.encoder, load_encoder(str(out), EncoderShape())):
        for key, value in loaded.state_dict().items():
            assert torch.equal(value, encoder[key])
    assert load_initial(str(out)).encoder["width"] == 24
    said = CliRunner().invoke(app, ["inspect", str(out), "--verify"])
    assert said.exit_code == 0, said.output


@pytest.mark.processes
@pytest.mark.parametrize("name", ["dense", "local", "masked", "joint", "maskpoint"])
def test_two_processes_are_as_one(world: Path, tmp_path: Path, name: str) -> None:
    """They exchange gradients once a step; means are over what all of them have."""
    changes = [f"objective={OBJECTIVES[name]}", "training.epochs=1", "training.lr=0.0005"]
    run(world, tmp_path / "one", *changes)
    said = [
        word for change in (*changes, f"name={name}") for word in ("--set", f"pretrain.{change}")
    ]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
         "--master-port", str(free_port()), "-m", "pipeline", "pretrain", "--device", "cpu",
         "--config", str(world / "small.yaml"), "--workspace", str(world), *said],
        cwd=REPOSITORY, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    folders = tmp_path / "one", world / "pretrain" / name
    one, two = (read_arrays(folder / "last", WEIGHTS) for folder in folders)
    for key in one:
        np.testing.assert_allclose(two[key], one[key], atol=2e-3, err_msg=key)
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    assert [result["processes"] for result in results] == [1, 2]
    for key in ("loss", "val_loss", "grad_norm"):
        values = [result["last"][key] for result in results]
        assert values[1] == pytest.approx(values[0], rel=2e-3), key


def test_shuffled_targets_teach_nothing(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path / "own", "training.epochs=25")
    run(world, tmp_path / "others", "training.epochs=25", "control=shuffled_targets")
    own, others = (
        json.loads((tmp_path / n / "result.json").read_text()) for n in ("own", "others")
    )
    assert own["last"]["val_r2"] > 0.1 > others["last"]["val_r2"]
    assert own["bars"]["ridge_val_r2"] > 0.5 > 0.1 > others["bars"]["ridge_val_r2"]


@pytest.mark.parametrize("kind", ["local", "dense"])
def test_plain_geometry_stands_beside_single_patches(
    world: Path, tmp_path: Path, kind: str
) -> None:
    run(world, tmp_path / "a", f"objective={{kind: {kind}}}", "training.epochs=1")
    bars = json.loads((tmp_path / "a" / "result.json").read_text())["bars"]
    name = {"local": "ridge_val_r2", "dense": "ridge_val_direction_r2"}[kind]
    # What a patch's token tells is the box's size and the patch's place, which plain features tell too.
    assert 0.3 < bars[name] < 1


def test_without_a_teacher_what_needs_none_is_learned(world: Path, tmp_path: Path) -> None:
    changes = ("teacher=null", f"objective={OBJECTIVES['masked']}", "training.epochs=1")
    run(world, tmp_path / "a", *changes)
    assert json.loads((tmp_path / "a" / "run.json").read_text())["inputs"]["teacher"] == "none"
    for change, message in (
        ("objective={kind: pooled}", "objective pooled needs a teacher"),
        ("points=in_view", "points: in_view needs a teacher"),
    ):
        with pytest.raises(ValueError, match=message):
            config_of(world, *changes, change)
    with pytest.raises(ValueError, match="objective masked has no targets to shuffle"):
        config_of(world, f"objective={OBJECTIVES['masked']}", "control=shuffled_targets")


def test_an_array_that_the_store_lacks_is_named(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path, train=2, val=1)
    for path in (tmp_path / "teacher" / "t.zarr").glob("*/patches"):
        for file in sorted(path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        path.rmdir()
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    with pytest.raises(
        ValueError, match=r"has no array 'patches', only clip, prefix, valid.*teacher\.arrays"
    ):
        run(tmp_path, tmp_path / "a", "objective={kind: dense}")


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_steps_at_the_papers_size(tmp_path: Path, name: str) -> None:
    """4096 points, 64 patches of 32, 12 blocks of 384; batch 2."""
    write_world(tmp_path, train=2, val=1, frames=2, points=4096)
    (tmp_path / "small.yaml").write_text("pretrain:\n  teacher: t\n")
    kind = {"concepts": "{kind: concepts}", "masked": "{kind: masked}", "maskpoint": "{kind: maskpoint}",
            "joint": "{kind: joint}"}.get(name, OBJECTIVES[name])  # fmt: skip
    outcome = run(
        tmp_path, tmp_path / "a", f"objective={kind}", "training.batch=2", "training.epochs=1",
        "training.warmup_epochs=0", "training.precision=fp32",
    )  # fmt: skip
    assert outcome.step == 2
    assert np.isfinite(list(outcome.metrics.values())).all()
