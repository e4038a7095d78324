"""What commands read: cards once, no data of finished runs, of evaluations only the held split."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from cache.scans import read_scan
from cache.workspace import Workspace
from pipeline.cli import app
from stages.settings import ConfigError
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.encoder import encoder_layers
from stages.training.networks.shapes import ClassifierShape, EncoderShape
from stages.training.tasks import shapes
from stages.training.tasks.classification import task as classification
from stages.training.tasks.detection import scenes as detection_scenes
from stages.training.tasks.detection import task as detection
from stages.training.tasks.downstream import frozen_modules
from stages.training.tasks.names import TaskName
from stages.training.tasks.segmentation import scenes as segmentation_scenes
from stages.training.tasks.segmentation import task as segmentation
from tests.conftest import REPOSITORY
from tests.worlds.scans import FIRST, SECOND, THIRD, prepare_golden_scans
from tests.worlds.whole import prepare_everything


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("read")
    prepare_everything(root)
    assert invoke(root, "finetune-all", "--init", "scratch", "--seeds", "3").exit_code == 0
    return root


def invoke(root: Path, *words: str) -> Any:
    common = ["--config", str(root / "small.yaml"), "--workspace", str(root), "--device", "cpu"]
    if words[0] == "evaluate":
        common = common[2:]
    return CliRunner().invoke(app, [*words, *common])


@pytest.mark.parametrize("task", TaskName)
def test_finished_seeds_read_no_data_and_build_no_network(
    world: Path, monkeypatch: pytest.MonkeyPatch, task: TaskName
) -> None:
    def never(*arguments: Any, **named: Any) -> None:
        raise AssertionError("was called")

    for module, name in (
        (shapes, "read_objects"), (segmentation_scenes, "read_scan"), (detection_scenes, "read_scan"),
        (torch.nn.Module, "__init__"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, never)
    said = invoke(world, "finetune", task.value, "--init", "scratch", "--seeds", "3")
    assert said.exit_code == 0, said.exception
    assert f"finetune {task}: 3 seeds from scratch" in said.output


@pytest.mark.parametrize(
    ("task", "module"),
    [("segmentation", segmentation_scenes), ("detection", detection_scenes)],
)
def test_an_evaluation_of_scans_reads_the_held_ones_alone(
    world: Path, monkeypatch: pytest.MonkeyPatch, task: str, module: Any
) -> None:
    seen: list[str] = []

    def watched(store: Path, scene_id: str, *arguments: Any) -> Any:
        seen.append(scene_id)
        return read_scan(store, scene_id, *arguments)

    monkeypatch.setattr(module, "read_scan", watched)
    built = {"segmentation": (segmentation, "_model"), "detection": (detection, "Detector")}[task]
    monkeypatch.setattr(*built, None)  # building one for training would raise
    run = world / "finetune" / task / "a" / "seed0"
    said = invoke(world, "evaluate", str(run))
    assert said.exit_code == 0, said.exception
    assert seen == [THIRD]
    assert {FIRST, SECOND}.isdisjoint(seen)
    measured = json.loads((run / "evaluated_last.json").read_text())["final"]
    assert measured == json.loads((run / "result.json").read_text())["final"]


def test_an_evaluation_of_shapes_reads_the_test_ones_alone(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = shapes.read_objects, []

    def watched(store: Path, split: str, *arguments: Any) -> Any:
        seen.append(split)
        return read(store, split, *arguments)

    monkeypatch.setattr(shapes, "read_objects", watched)
    monkeypatch.setattr(classification, "_model", None)
    run = next((world / "finetune" / "classification").glob("*/seed0"))
    assert invoke(world, "evaluate", str(run)).exit_code == 0
    assert seen == ["test"]


READS = """
import json, sys
counts = {}
def note(event, arguments):
    if event == "open" and str(arguments[0]).endswith("zarr.json"):
        counts[str(arguments[0])] = counts.get(str(arguments[0]), 0) + 1
sys.addaudithook(note)
sys.argv = ["distill3d", *json.loads(sys.stdin.read())]
from pipeline.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end
print(json.dumps(counts))
"""


def test_pretraining_reads_each_small_file_once(tmp_path: Path) -> None:
    from tests.worlds.pairs import SMALL_YAML, write_world

    write_world(tmp_path, train=4, val=2)
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    words = ["pretrain", "--config", str(tmp_path / "small.yaml"), "--workspace", str(tmp_path)]
    words += ["--device", "cpu", "--set", "pretrain.training.epochs=1"]
    done = subprocess.run(
        [sys.executable, "-c", READS], input=json.dumps(words), cwd=REPOSITORY, text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = Counter(json.loads(done.stdout.splitlines()[-1]))
    assert set(counts.values()) == {1}, counts.most_common(3)
    # Of each scene its points, its group of the teacher's store, and two arrays in that.
    assert len([file for file in counts if "/room" in file or "/scene" in file]) == 4 * 6


def test_scans_of_an_earlier_version_are_named_with_what_renews_them(tmp_path: Path) -> None:
    prepare_golden_scans(tmp_path)
    paths = Workspace(tmp_path)
    shutil.move(paths.scans("scannet"), paths.earlier_scans)
    said = CliRunner().invoke(
        app, ["finetune", "segmentation", "--init", "scratch", "--workspace", str(tmp_path)]
    )
    assert isinstance(said.exception, ConfigError)
    assert str(said.exception) == (
        f"{tmp_path}/scans.zarr: of an earlier version, without its classes; run prepare scannet, which "
        f"writes {tmp_path}/scans/scannet.zarr, then delete it"
    )
    said = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert (said.exit_code, "run prepare scannet, which writes" in said.output) == (1, True)


def test_scans_that_were_moved_get_their_classes_when_prepared_again(tmp_path: Path) -> None:
    prepare_golden_scans(tmp_path)
    file = tmp_path / "scans" / "scannet.zarr" / "zarr.json"
    whole = json.loads(file.read_text())
    file.write_text(json.dumps({**whole, "attributes": {}}))
    said = CliRunner().invoke(
        app, ["prepare", "scannet", str(tmp_path), "--workspace", str(tmp_path), "--workers", "1"]
    )
    assert "3 complete before" in said.output
    assert json.loads(file.read_text())["attributes"] == whole["attributes"]


def test_inspect_goes_on_behind_what_is_damaged_or_not_ours(world: Path, tmp_path: Path) -> None:
    for part in ("objects", "scans", "teacher"):
        shutil.copytree(world / part, tmp_path / part)
    (tmp_path / "teacher" / "notes.txt").write_text("mine")
    for name in ("damaged", "cut"):
        (tmp_path / "pretrain" / name).mkdir(parents=True)
        (tmp_path / "pretrain" / name / "run.json").write_text('{"kind":')
    own = next((world / "finetune" / "parts").glob("*/seed0"))
    shutil.copytree(own, tmp_path / "finetune" / "parts" / "teacher" / "seed0")
    said = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert said.exit_code == 1
    problems = [line for line in said.output.splitlines() if line.startswith("problem")]
    assert sum("run.json" in line for line in problems) == 2
    assert not any("notes.txt" in line or "no trained teacher" in line for line in problems)
    assert "fine-tuning: parts" in said.output
    assert "of the detection classes" in said.output


def test_a_set_of_other_classes_is_learned_by_its_own(world: Path, tmp_path: Path) -> None:
    """Another set is a store with other classes on its card; no code knows its name."""
    shutil.copytree(world / "scans", tmp_path / "scans")
    store = tmp_path / "scans" / "rooms.zarr"
    (tmp_path / "scans" / "scannet.zarr").rename(store)
    about = json.loads((store / "zarr.json").read_text())
    about["attributes"]["scene_set"] = {
        "name": "rooms",
        "segmentation": {"ids": [1, 2, 5], "names": ["wall", "floor", "seat"]},
        "detection": {"ids": [5, 7], "names": ["seat", "table"]},
    }
    (store / "zarr.json").write_text(json.dumps(about))
    shutil.copy(world / "small.yaml", tmp_path)
    for task, count in (("segmentation", 3), ("detection", 2)):
        said = invoke(
            tmp_path, "finetune", task, "--init", "scratch", "--set", f"{task}.data=rooms"
        )
        assert said.exit_code == 0, said.exception
        run = tmp_path / "finetune" / task / "a" / "seed0"
        final = json.loads((run / "result.json").read_text())["final"]
        assert len(final["classes"]) == count
        assert set(final["by_class"][next(iter(final["by_class"]))]) <= set(final["classes"])
        assert invoke(tmp_path, "evaluate", str(run)).exit_code == 0


def test_what_is_frozen_stays_in_evaluation_while_a_head_learns() -> None:
    """Its dropped paths and its norms: a frozen backbone gives one answer, step after step."""
    from stages.loop.learner import Learner
    from stages.loop.loop_config import LoopConfig
    from stages.loop.processes import Processes
    from stages.loop.task import Task

    small = EncoderShape(width=12, depth=2, num_heads=2, num_patches=8, patch_size=4, drop_path=0.5)
    model = PointClassifier(ClassifierShape(encoder=small, num_classes=3))
    task = Task(
        model=model, about={}, num_rows=1, losses=None, inputs=None, evaluate=None,  # type: ignore[arg-type]
        headline="", larger_is_better=True, frozen=frozen_modules(3, 2),
    )  # fmt: skip
    learner = Learner(task, LoopConfig(precision="fp32"), torch.device("cpu"), Processes())
    learner.train()
    frozen = [f"encoder.{name}" for layer in encoder_layers(2) for name in layer]
    for name in frozen:
        module = model.get_submodule(name)
        assert not any(part.training for part in module.modules()), name
        assert not any(p.requires_grad for p in module.parameters()), name
    assert model.head.training
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in model.named_parameters() if not name.startswith("encoder.")
    }
