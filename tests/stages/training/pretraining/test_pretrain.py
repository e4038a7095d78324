"""`pretrain` as a user runs it, on a world of boxes: it learns, stops, goes on, is shared."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cache.checkpoint import WEIGHTS, read_arrays
from cache.scene_group import Listing
from pipeline.cli import app
from stages.loop import cost
from stages.training.networks.student import Student
from stages.training.pretraining import data, pretrain
from stages.training.pretraining.clouds import Sources, load_clouds
from stages.training.pretraining.config import PretrainConfig
from stages.training.weights.build import load_model
from tests.conftest import REPOSITORY
from tests.harness.running import LAST_RESORT_S, free_port, read_until, start
from tests.worlds.objects import YAML, invoke, prepare_boxes
from tests.worlds.pairs import SMALL_YAML, pretrain_in, write_boxes, write_pair, write_world

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("boxes")
    write_world(root)
    (root / "small.yaml").write_text(SMALL_YAML)
    return root


def sources_of(world: Path) -> Sources:
    stores = (world / "points.zarr", world / "teacher" / "t.zarr")
    return Sources(world / "frames", *map(Listing.read, stores), CPU)


def command(world: Path, name: str, *arguments: str) -> list[str]:
    return [
        "-m", "pipeline", "pretrain", "--config", str(world / "small.yaml"), "--workspace", str(world),
        "--set", f"pretrain.name={name}", "--device", "cpu", *arguments,
    ]  # fmt: skip


def test_it_learns_what_the_points_tell(world: Path, tmp_path: Path) -> None:
    outcome = pretrain_in(world, tmp_path / "a", "training.epochs=25")
    assert outcome is not None
    assert outcome.finished
    assert outcome.metrics["val_r2"] > 0.1
    assert outcome.metrics["val_top5"] > outcome.metrics["chance_top5"]
    assert 0.1 < outcome.metrics["patch_coverage"] < 0.5  # at most 64 of 128 points
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    assert result["last"]["val_r2"] == outcome.metrics["val_r2"]
    assert result["bars"]["ridge_val_r2"] > 0.5
    assert (
        pretrain_in(world, tmp_path / "a", "training.epochs=25") is None
    )  # finished: nothing to do
    model = load_model(tmp_path / "a" / "last")
    assert isinstance(model, Student)
    assert model(torch.randn(2, 128, 3))[0].shape == (2, 3, 8)


@pytest.mark.parametrize(
    "changes",
    [
        ("frame=gravity", "norm_input=metric"),
        ("points=in_view",),
        ("objective.loss=cosine", "target_norm=none", "objective.head=mixer"),
        ("objective.loss=infonce", "norm_input=unit_sphere"),
        ("held_splits=[]",),
        ("training.ema=0.9", "training.weight_decay_schedule=cosine"),
        ("encoder.position=output", "encoder.norm=post"),
    ],
)
def test_every_switch_trains(world: Path, tmp_path: Path, changes: tuple[str, ...]) -> None:
    outcome = pretrain_in(world, tmp_path / "a", "training.epochs=1", *changes)
    assert outcome is not None
    assert np.isfinite(list(outcome.metrics.values())).all()


def test_without_a_held_split_the_ways_out_work(tmp_path: Path) -> None:
    write_world(tmp_path, train=2, val=0)
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    with pytest.raises(ValueError, match=r"no scene of val, only 2 of train.*held_splits=\[\]"):
        pretrain_in(tmp_path, tmp_path / "a")
    # The run that failed had not begun, so another one may take its place.
    outcome = pretrain_in(tmp_path, tmp_path / "a", "training.epochs=1", "held_splits=[]")
    assert outcome is not None
    assert outcome.finished
    write_boxes(tmp_path, "held", "val", frames=4, seed=7)
    assert pretrain_in(tmp_path, tmp_path / "b", "training.epochs=1") is not None


def test_gravity_leaves_lost_poses_out(world: Path) -> None:
    config = PretrainConfig(frame="gravity", num_points=128)
    clouds = load_clouds(config, ("train",), sources_of(world))
    assert (len(clouds.pairs), clouds.pairs.num_dropped) == (70, 10)  # of ten scenes of 8
    assert clouds.views is not None
    batch = clouds.plain(torch.arange(70))
    assert batch.points.shape == (70, 128, 3)
    metres = clouds.turned(batch.metres, batch.rows)
    # The camera looks level along the world's y: the boxes, 3 m ahead, are so along y.
    assert metres.mean(dim=(0, 1))[1] == pytest.approx(3, abs=0.1)


def test_gravity_without_any_pose_is_one_clear_error(tmp_path: Path) -> None:
    write_world(tmp_path, train=2, val=1, frames=1)  # the first frame's pose is lost
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    with pytest.raises(ValueError, match=r"none of the 2 frames of train has a pose.*frame=camera"):
        pretrain_in(tmp_path, tmp_path / "a", "frame=gravity")


def test_a_floor_that_is_not_level_is_said(tmp_path: Path) -> None:
    """A floor 1 m below the camera, which looks level along the world's y; z is up."""
    generator = np.random.default_rng(0)
    floor = generator.uniform((-1, 1, 1), (1, 1.001, 3), (4, 256, 3))
    for number, split in enumerate(("train", "train", "val")):
        targets = generator.normal(size=(4, 3, 8)).astype(np.float16)
        write_pair(tmp_path, f"room{number}", split, floor, targets, [True] * 4)
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    said: list[str] = []
    changes = ("frame=gravity", "training.epochs=1", "training.batch=4", "num_points=64")
    assert pretrain_in(tmp_path, tmp_path / "a", *changes, say=said.append) is not None
    assert said == []
    assert pretrain_in(tmp_path, tmp_path / "b", *changes, "up=y", say=said.append) is not None
    assert "with up: y the floor is not level" in said[0]
    assert said[0].endswith("--set pretrain.up=z")


def test_held_rows_are_the_same_each_time(world: Path) -> None:
    config = PretrainConfig(num_points=64)
    clouds = load_clouds(config, ("val",), sources_of(world))
    rows = torch.arange(4)
    assert torch.equal(clouds.plain(rows).points, clouds.plain(rows).points)
    stored = clouds.pairs.metres(rows)[:, :64]
    first = stored - stored.mean(dim=1, keepdim=True)
    assert not torch.allclose(
        clouds.plain(rows).points, first / first.norm(dim=-1).amax(1)[:, None, None]
    )


def test_on_a_cpu_a_long_run_must_be_asked_for(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "PATIENCE_S", 0.0)
    with pytest.raises(ValueError, match=r"no GPU here, .* 4 epochs of 80 would .* --device cpu"):
        pretrain_in(world, tmp_path / "a", patient=False)
    assert pretrain_in(world, tmp_path / "a", "training.epochs=4", patient=True) is not None


def test_what_does_not_belong_together_is_refused(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path, train=2, val=1)
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    write_boxes(tmp_path, "scene0009_00", "train", 4, seed=1)
    (tmp_path / "teacher" / "t.zarr" / "scene0009_00" / "zarr.json").unlink()
    with pytest.raises(
        ValueError, match=r"scene0009_00 is missing, though .* run teacher-cache again"
    ):
        pretrain_in(tmp_path, tmp_path / "a")
    with pytest.raises(ValueError, match=r"no teacher's store; run teacher-cache"):
        pretrain.run(
            PretrainConfig(), frames=world / "frames", points=world / "points.zarr",
            store=world / "teacher" / "none.zarr", out=tmp_path / "b", device=CPU,
        )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.processes
def test_a_signal_ends_it_with_its_code_and_the_way_on(
    world: Path, number: signal.Signals, code: int
) -> None:
    arguments = command(world, number.name, "--set", "pretrain.training.epochs=20000")
    process = start(arguments)
    read_until(process, "epoch 2/20000")
    process.send_signal(number)
    said, errors = process.communicate(timeout=LAST_RESORT_S)
    assert process.returncode == code, errors
    assert f"stopped on {number.name} after step" in said
    assert "the same command goes on from there" in said
    assert "stopped; the same command goes on from here" in errors


@pytest.mark.parametrize("reader", ["pipe", "terminal"])
@pytest.mark.processes
def test_it_ends_well_though_nobody_reads_it_any_more(world: Path, reader: str) -> None:
    """As `2>&1 | tee log` when tee is gone, and a terminal that is closed."""
    name = f"unread-{reader}"
    reading, writing = os.openpty() if reader == "terminal" else os.pipe()
    process = subprocess.Popen(
        [sys.executable, *command(world, name)], cwd=REPOSITORY, stdout=writing, stderr=writing
    )  # fmt: skip
    os.close(writing)
    assert os.read(reading, 100)
    os.close(reading)
    assert process.wait(timeout=LAST_RESORT_S) == 0
    assert (world / "pretrain" / name / "result.json").is_file()
    assert (world / "pretrain" / name / "curves.png").is_file()


@pytest.mark.processes
def test_whichever_process_is_stopped_all_end_with_the_code(world: Path) -> None:
    arguments = command(world, "both", "--set", "pretrain.training.epochs=20000")
    port = free_port()
    both = [
        start(arguments, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
              MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)) for rank in (0, 1)
    ]  # fmt: skip
    read_until(both[0], "epoch 1/20000")
    both[1].send_signal(signal.SIGTERM)
    (said, _), (silent, errors) = (process.communicate(timeout=LAST_RESORT_S) for process in both)
    assert [process.returncode for process in both] == [143, 143], errors
    assert "stopped on SIGTERM after step" in said
    assert silent == ""


@pytest.mark.processes
def test_two_processes_are_as_one(world: Path) -> None:
    common = ["--set", "pretrain.training.epochs=2", "--set", "pretrain.training.lr=0.0005"]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--master-port", str(free_port())]  # fmt: skip
    for name, arguments in (("one", []), ("two", launcher)):
        subprocess.run(
            [sys.executable, *arguments, *command(world, name, *common)], cwd=REPOSITORY, check=True,
            capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    one, two = (read_arrays(world / "pretrain" / n / "last", WEIGHTS) for n in ("one", "two"))
    for key in one:
        np.testing.assert_allclose(two[key], one[key], atol=1e-3, err_msg=key)
    first, second = (
        json.loads((world / "pretrain" / name / "result.json").read_text())
        for name in ("one", "two")
    )
    assert (first["processes"], second["processes"]) == (1, 2)
    for key in ("loss", "val_loss", "grad_norm", "patch_coverage"):
        assert second["last"][key] == pytest.approx(first["last"][key], rel=1e-3)


BLOCKED = """
import sys
BLOCKED = ("open3d", "open_clip", "cv2", "transformers", "timm", "plyfile", "stages.precompute",
           "stages.sources", "stages.sample", "stages.captioning")
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if any(name == b or name.startswith(b + ".") for b in BLOCKED):
            raise ImportError(f"{name} is not to be had in stage two")
sys.meta_path.insert(0, Blocker())
from pipeline.cli import main
main()
"""


@pytest.mark.processes
def test_it_runs_without_stage_one(world: Path) -> None:
    arguments = command(world, "alone", "--set", "pretrain.training.epochs=1")[2:]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments], cwd=REPOSITORY, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pretrain: finished, 1 epochs" in done.stdout


@pytest.mark.processes
def test_inspect_knows_runs_and_checkpoints(world: Path) -> None:
    subprocess.run(
        [sys.executable, *command(world, "seen", "--stop-after-epoch", "2")], cwd=REPOSITORY, check=True
    )  # fmt: skip
    run = world / "pretrain" / "seen"

    def inspect(path: Path) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["inspect", str(path), "--verify"])
        return result.exit_code, result.output

    code, said = inspect(run)
    assert code == 0
    assert "epochs             2 of 4" in said
    assert "no; the same command goes on" in said
    code, said = inspect(run / "last")
    assert code == 0
    assert "model              student" in said
    assert "step 20 of 40" in said
    weights = run / "last" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    for path in (run, run / "last"):
        code, said = inspect(path)
        assert code == 1
        assert "weights.safetensors is not as it was written" in said


def test_what_a_kill_left_undone_is_made_by_the_next_call(tmp_path: Path) -> None:
    write_world(tmp_path)
    prepare_boxes(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL_YAML + YAML)
    arguments = ["pretrain", "--device", "cpu", "--set", "pretrain.training.epochs=1"]
    first = invoke(tmp_path, *arguments)
    made = [tmp_path / "pretrain" / "tiny" / n for n in ("curves.png", "probe_modelnet40.json")]
    contents = [file.read_bytes() for file in made]
    for file in made:
        file.unlink()
    second = invoke(tmp_path, *arguments)
    assert "is finished already" in second
    assert first.splitlines()[-1] == second.splitlines()[-1]
    assert "linear SVM" in second
    assert [file.read_bytes() for file in made] == contents
    before = [file.stat().st_mtime_ns for file in made]
    assert "linear SVM" not in invoke(tmp_path, *arguments)
    assert [file.stat().st_mtime_ns for file in made] == before


def test_a_run_that_never_began_holds_no_name(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a batch of 1000 is more than the 80 training rows"):
        pretrain_in(world, tmp_path / "runs" / "a", "training.batch=1000")
    assert list(tmp_path.iterdir()) == []
    assert pretrain_in(world, tmp_path / "runs" / "a", "training.epochs=1") is not None


def test_more_held_rows_than_a_ridge_regression_is_fitted_to(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "RIDGE_ROWS", 12)
    outcome = pretrain_in(world, tmp_path / "a", "training.epochs=1", "held_splits=[train]")
    assert outcome is not None
    assert "ridge_val_r2" in json.loads((tmp_path / "a" / "result.json").read_text())["bars"]


def test_infonce_needs_the_whole_batch(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the batch cannot be split"):
        pretrain_in(world, tmp_path / "a", "objective.loss=infonce", "training.accumulate=2")
