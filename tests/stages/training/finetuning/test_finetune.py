"""`prepare`, `finetune` and `probe` as a user runs them, on tiny sets in the official layouts."""

import json
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pipeline.cli import app
from stages.settings import ConfigError
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.rivals import build_rival, penalty
from stages.training.networks.shapes import RivalShape
from stages.training.tasks.classification.config import ClassificationConfig
from stages.training.tasks.classification.task import _ordered_points, accuracies, confusion
from stages.training.weights.build import load_model
from tests.harness.running import LAST_RESORT_S, read_until, start
from tests.worlds.objects import invoke, prepare_boxes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("objects")
    prepare_boxes(root)
    return root


def test_classification_from_scratch(world: Path) -> None:
    said = invoke(world, "finetune", "classification", "--init", "scratch", "--device", "cpu")
    assert "new " in said
    folder = world / "finetune" / "classification" / "a"
    result = json.loads((folder / "seed0" / "result.json").read_text())
    final = result["final"]
    assert final["val_accuracy"] > 0.6
    assert sum(map(sum, final["confusion"])) == 12
    assert final["voting"]["votes"] == 2
    assert final["voting"]["paper_style_best"] >= final["voting"]["mean"]
    summary = json.loads((folder / "result.json").read_text())
    assert summary["measures"]["val_accuracy"]["runs"] == [final["val_accuracy"]]
    figures = [folder / "seed0" / name for name in ("confusion.png", "curves.png")]
    before = figures[1].stat().st_mtime_ns
    figures[0].unlink()  # as after a kill: the next call draws it, and leaves what is there
    invoke(world, "finetune", "classification", "--init", "scratch", "--device", "cpu")
    assert figures[0].is_file()
    assert figures[1].stat().st_mtime_ns == before
    assert isinstance(load_model(folder / "seed0" / "last"), PointClassifier)
    assert (
        "whole              yes"
        in CliRunner().invoke(app, ["inspect", str(folder / "seed0")]).output
    )


def test_inspect_knows_all_of_a_workspace(world: Path) -> None:
    invoke(world, "finetune", "classification", "--init", "scratch", "--device", "cpu",
           "--set", "classification.name=seen", "--set", "classification.training.epochs=1")  # fmt: skip
    said = CliRunner().invoke(app, ["inspect", str(world), "--verify"])
    assert said.exit_code == 0, said.output
    assert "train              36 shapes" in said.output
    assert "fine-tuning: classification" in said.output
    part = world / "objects" / "modelnet40.zarr" / "test" / "start" / "c" / "0"
    saved = part.read_bytes()
    part.write_bytes(saved[:-2] + bytes(2))
    said = CliRunner().invoke(
        app, ["inspect", str(world / "objects" / "modelnet40.zarr"), "--verify"]
    )
    part.write_bytes(saved)
    assert said.exit_code == 1
    assert "damaged" in said.output


def test_all_tasks_whose_data_is_there(world: Path) -> None:
    short = [f"--set={task}.training.epochs=1" for task in ("classification", "parts")]
    arguments = ["finetune-all", "--init", "scratch", "--name", "all", "--device", "cpu", *short]
    said = invoke(world, *arguments, "--seeds", "2")
    table = json.loads((world / "finetune" / "all.json").read_text())
    assert list(table["tasks"]) == ["classification", "parts"]
    assert len(table["tasks"]["parts"]["measures"]["val_instance_miou"]["runs"]) == 2
    assert set(table["left_out"]) == {"segmentation", "detection"}
    assert "left out: detection" in said
    assert "run prepare scannet" in said
    assert "parts           instance mIoU" in said
    # Again: nothing is trained, and the table is the same.
    before = (world / "finetune" / "parts" / "all" / "seed1" / "result.json").stat().st_mtime_ns
    invoke(world, *arguments, "--seeds", "2")
    assert json.loads((world / "finetune" / "all.json").read_text()) == table
    after = (world / "finetune" / "parts" / "all" / "seed1" / "result.json").stat().st_mtime_ns
    assert before == after


def test_a_task_that_fails_does_not_stop_the_others(world: Path) -> None:
    said = invoke(
        world, "finetune-all", "--init", "scratch", "--name", "some", "--device", "cpu",
        "--set=classification.training.batch=1000", "--set=parts.training.epochs=1", code=1, fails=True,
    )  # fmt: skip
    assert "failed: classification: a batch of 1000 is more than" in said
    table = json.loads((world / "finetune" / "some.json").read_text())
    assert list(table["tasks"]) == ["parts"]
    # It never began, so it holds no name: the corrected command runs.
    assert not (world / "finetune" / "classification" / "some").exists()
    invoke(world, "finetune", "classification", "--init", "scratch", "--device", "cpu",
           "--set=classification.name=some", "--set=classification.training.epochs=1")  # fmt: skip


@pytest.mark.processes
def test_a_signal_stops_all_tasks_without_a_table(world: Path) -> None:
    process = start(
        ["-m", "pipeline", "finetune-all", "--init", "scratch", "--name", "stopped", "--device", "cpu",
         "--set=classification.training.epochs=20000", "--config", str(world / "small.yaml"),
         "--workspace", str(world)]
    )  # fmt: skip
    read_until(process, "epoch 2/20000")
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=LAST_RESORT_S)
    assert process.returncode == 143, errors
    assert "finetune classification: stopped on SIGTERM after step" in said
    assert "finetune parts" not in said
    assert "task " not in said
    assert not (world / "finetune" / "stopped.json").exists()
    assert not (world / "finetune" / "parts" / "stopped").exists()


def test_names_that_lead_elsewhere_are_refused(world: Path) -> None:
    result = CliRunner().invoke(
        app, ["finetune-all", "--init", "scratch", "--name", "../x", "--workspace", str(world)]
    )
    assert isinstance(result.exception, ConfigError)
    assert "--name ../x" in str(result.exception)


def test_fewer_seeds_of_another_configuration_are_not_mixed(world: Path) -> None:
    arguments = ["finetune", "classification", "--init", "scratch", "--device", "cpu",
                 "--set", "classification.name=again", "--set", "classification.training.epochs=1"]  # fmt: skip
    invoke(world, *arguments, "--seeds", "2")
    invoke(world, *arguments, "--overwrite", "--set", "classification.training.lr=0.001")
    summary = json.loads((world / "finetune/classification/again/result.json").read_text())
    assert summary["seeds"] == ["seed0"]


def test_seeds_are_summed_up(world: Path) -> None:
    arguments = ["finetune", "classification", "--init", "scratch", "--device", "cpu",
                 "--set", "classification.name=three", "--set", "classification.training.epochs=2"]  # fmt: skip
    invoke(world, *arguments, "--seeds", "2")
    said = invoke(world, *arguments, "--seeds", "3")  # the first two are there
    assert "3 seeds from scratch, last epoch" in said
    summary = json.loads((world / "finetune/classification/three/result.json").read_text())
    runs = summary["measures"]["val_accuracy"]["runs"]
    assert len(runs) == 3
    assert summary["measures"]["val_accuracy"]["mean"] == pytest.approx(np.mean(runs))
    assert summary["measures"]["val_accuracy"]["std"] == pytest.approx(np.std(runs, ddof=1))


def test_scanobjectnn_through_the_same_task(world: Path) -> None:
    generator = np.random.default_rng(0)
    for split in ("training", "test"):
        path = world / "h5_files" / "main_split_nobg" / f"{split}_objectdataset.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["data"] = generator.normal(size=(12, 64, 3)).astype(np.float32)
            file["label"] = np.arange(12) % 15
    invoke(world, "prepare", "scanobjectnn", str(world), "--workers", "1",
           "--set", "prepare.scanobjectnn_variant=obj_only")  # fmt: skip
    said = invoke(
        world, "finetune", "classification", "--init", "scratch", "--device", "cpu",
        "--set", "classification.data=scanobjectnn", "--set", "classification.name=scans",
        "--set", "classification.training.epochs=1",
    )  # fmt: skip
    assert "val_accuracy" in said
    final = json.loads((world / "finetune/classification/scans/seed0/result.json").read_text())[
        "final"
    ]
    assert len(final["classes"]) == 15


def test_parts(world: Path) -> None:
    invoke(
        world,
        "finetune",
        "parts",
        "--init",
        "scratch",
        "--device",
        "cpu",
        "--set",
        "parts.training.epochs=30",
    )
    final = json.loads((world / "finetune/parts/a/seed0/result.json").read_text())["final"]
    assert set(final["categories"]) == {"Mug", "Knife"}
    assert final["val_instance_miou"] > 0.5
    assert (world / "finetune/parts/a/seed0/parts.png").is_file()


@pytest.mark.parametrize("model", ["pointnet", "pointnet2", "dgcnn"])
@pytest.mark.parametrize("task", ["classification", "parts"])
def test_rivals_run_through_the_same_task(world: Path, task: str, model: str) -> None:
    invoke(
        # Without --device, so that how long it would take is looked at first.
        world, "finetune", task, "--init", "scratch",
        "--set", f"{task}.name={model}", "--set", f"{task}.model={model}", "--set", f"{task}.training.epochs=1",
    )  # fmt: skip
    folder = world / "finetune" / task / model / "seed0"
    assert json.loads((folder / "result.json").read_text())["last"]["loss"] > 0
    load_model(folder / "last")


def test_accuracies_by_hand() -> None:
    logits = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    label = torch.tensor([0, 0, 1, 1])
    found = accuracies(logits, label)
    assert found == {"val_accuracy": 0.75, "val_class_accuracy": pytest.approx((1 + 0.5) / 2)}
    assert confusion(logits, label) == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_probe(world: Path) -> None:
    said = invoke(world, "probe", "scratch", "--device", "cpu")
    assert "random weights" in said
    assert "these weights" not in said  # nothing stands beside itself
    assert "5-way" not in said  # three classes only
    row = next(line for line in said.splitlines() if "all labels" in line)
    assert " +- " in row  # over three seeds
    assert "(one seed)" in invoke(world, "probe", "scratch", "--seeds", "1", "--device", "cpu")


def test_pointnets_penalty_is_of_a_rotation_none() -> None:
    model = build_rival(RivalShape(kind="pointnet", task="classification", num_outputs=3))
    model(torch.randn(2, 32, 3))
    assert float(torch.as_tensor(penalty(model)).detach()) == pytest.approx(
        0, abs=1e-6
    )  # at first the identity
    other = build_rival(RivalShape(kind="dgcnn", task="classification", num_outputs=3))
    assert penalty(other) == 0


@pytest.mark.parametrize(
    ("num_points", "stored", "needed"), [(1024, 8192, 1200), (1024, 1100, 1024), (2048, 2048, 0)]
)
def test_points_in_fps_order_that_are_needed(num_points: int, stored: int, needed: int) -> None:
    assert _ordered_points(ClassificationConfig(num_points=num_points), stored) == needed


def test_too_few_points_in_fps_order(world: Path) -> None:
    with pytest.raises(
        ValueError, match=r"80 points .* 93 are needed; run prepare with --set prepare.fps"
    ):
        invoke(world, "finetune", "classification", "--init", "scratch", "--set", "classification.name=x",
               "--set", "classification.num_points=80", "--device", "cpu")  # fmt: skip
