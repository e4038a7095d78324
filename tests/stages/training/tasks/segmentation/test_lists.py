"""Few labels: lists of scenes and of points, in the layouts of ScanNet's Data Efficient benchmark."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cache.scene_group import Listing
from pipeline.cli import app
from stages.training.tasks.scans import annotated, read_scene_list
from stages.training.tasks.segmentation.config import SegmentationConfig
from stages.training.tasks.segmentation.labelled_points import read_labelled_points
from stages.training.tasks.segmentation.scenes import load_scenes
from stages.training.tasks.segmentation.scores import UNLABELLED
from stages.training.tasks.segmentation.task import inputs
from tests.worlds.scans import FIRST, SECOND, prepare_golden_scans

CPU = torch.device("cpu")
YAML = """
segmentation:
  num_points: 256
  encoder: {width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 24, patch_size: 8}
  head_widths: [16, 16]
  test_draws: 1
  vote_rounds: 1
  training: {epochs: 1, batch: 1, lr: 0.003, warmup_epochs: 0, precision: fp32}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannet")
    prepare_golden_scans(root)
    (root / "small.yaml").write_text(YAML)
    return root


def _store(world: Path) -> Listing:
    return Listing.read(world / "scans" / "scannet.zarr")


def _list(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_only_listed_scenes_are_read(world: Path, tmp_path: Path) -> None:
    one = _list(tmp_path / "1.txt", f"{SECOND}\n")
    scenes = load_scenes(_store(world), ("train",), CPU, only=one)
    assert scenes.names == (SECOND,)
    assert annotated(_store(world), ("train",)) == [FIRST, SECOND]


def test_a_list_tells_runs_apart(world: Path, tmp_path: Path) -> None:
    store, whole = _store(world), SegmentationConfig()
    few = whole.model_copy(update={"scenes": _list(tmp_path / "1.txt", SECOND)})
    assert inputs(few, store)["train"] != inputs(whole, store)["train"]
    assert inputs(few, store)["val"] == inputs(whole, store)["val"]
    # A configuration without a list is what it was before there were any.
    assert not {"scenes", "points"} & whole.model_dump(mode="json").keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no scene in it"),
        (f"{FIRST}\n{FIRST}\n", "listed twice"),
        ("scene0000_00\n", "lists scene0000_00, which"),
        ("\n".join(f"scene{n:04d}_00" for n in range(9)), "and 6 more, which"),
    ],
)
def test_lists_that_do_not_fit(world: Path, tmp_path: Path, text: str, said: str) -> None:
    path = _list(tmp_path / "list.txt", text)
    with pytest.raises(ValueError, match=said) as raised:
        annotated(_store(world), ("train",), path)
    assert str(path) in str(raised.value)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as a list of scenes"):
        read_scene_list(tmp_path / "none.txt")


@pytest.mark.parametrize("legacy", [False, True])
def test_only_listed_points_have_a_label(world: Path, tmp_path: Path, legacy: bool) -> None:
    chosen = {FIRST: np.array([5, 2, 7]), SECOND: np.array([0, 1], np.int32)}
    torch.save(chosen, tmp_path / "points20", _use_new_zipfile_serialization=not legacy)
    store = _store(world)
    whole = load_scenes(store, ("train",), CPU)
    few = load_scenes(store, ("train",), CPU, points=tmp_path / "points20")
    for row, name in enumerate(few.names):
        own, true = few.label[few.part(row)], whole.label[whole.part(row)]
        assert own[chosen[name]].tolist() == true[chosen[name]].tolist()
        rest = np.delete(np.arange(len(own)), chosen[name])
        assert (own[rest] == UNLABELLED).all()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([1, 2], "expected numbers of vertices by scene, found a list"),
        ({}, "found nothing"),
        ({FIRST: np.zeros(3), SECOND: np.array([1])}, "found an array of float64"),
        ({FIRST: np.array([1])}, f"has no points of {SECOND}"),
        ({FIRST: np.array([10**6]), SECOND: np.array([1])}, "the list is of other meshes"),
        ({FIRST: np.array([-1]), SECOND: np.array([1])}, "numbers vertices from -1"),
    ],
)
def test_points_that_do_not_fit(world: Path, tmp_path: Path, found: Any, said: str) -> None:
    torch.save(found, tmp_path / "points20")
    with pytest.raises(ValueError, match=said):
        load_scenes(_store(world), ("train",), CPU, points=tmp_path / "points20")


def test_code_in_a_list_of_points_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save({FIRST: Evil()}, tmp_path / "points20")
    with pytest.raises(ValueError, match="cannot be read as a list of points"):
        read_labelled_points(tmp_path / "points20")
    assert not (tmp_path / "ran").exists()


def test_a_run_on_few_labels(world: Path, tmp_path: Path) -> None:
    torch.save({SECOND: np.arange(20)}, tmp_path / "points20")
    lists = {
        "scenes": _list(tmp_path / "1.txt", SECOND),
        "points": tmp_path / "points20",
        "name": "few",
    }
    options = [f"segmentation.{key}={value}" for key, value in lists.items()]
    words = ["finetune", "segmentation", "--init", "scratch", "--device", "cpu", "--config",
             str(world / "small.yaml"), "--workspace", str(world)]  # fmt: skip
    done = CliRunner().invoke(app, words + [word for text in options for word in ("--set", text)])
    assert done.exit_code == 0, done.output
    run = world / "finetune" / "segmentation" / "few" / "seed0"
    card = json.loads((run / "run.json").read_text())
    assert card["config"]["scenes"] == str(tmp_path / "1.txt")
    assert "points" in card["inputs"]
