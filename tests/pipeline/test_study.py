"""`study`: cells are lines, what has its line is not run again, and what it says is what the lines hold."""

import json
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from typer.testing import CliRunner

from cache.results import read_cells
from pipeline.cli import app
from tests.worlds.pairs import SMALL_YAML, write_world
from tests.worlds.scans import prepare_golden_scans

YAML = (
    SMALL_YAML.replace("epochs: 4", "epochs: 1")
    + """
segmentation:
  name: s
  num_points: 256
  encoder: {width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 24, patch_size: 8}
  head_widths: [16, 16]
  test_draws: 1
  vote_rounds: 1
  training: {batch: 2, lr: 0.003, precision: fp32}
study:
  pre_trainings: 3
  percent: [50, 100]
  primary: 50
  subsets: 2
  seeds: 1
  frozen_steps: 20
  frozen_rates: [0.003, 0.01]
  tuned_steps: {50: 1}
  tuned_rates: [0.001]
  choosing: {subsets: 1}
"""
)
MADE = (
    "sample",
    "extract",
    "label-frames",
    "teacher-train",
    "teacher-cache",
    "prepare",
    "choosing",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    write_world(root, train=3, val=1)
    prepare_golden_scans(root)
    (root / "small.yaml").write_text(YAML)
    choosing = root / "study" / "choosing"
    choosing.mkdir(parents=True)
    shutil.copytree(root / "scans", choosing / "scans")
    for name in MADE:
        (root / "study" / "made").mkdir(exist_ok=True)
        (root / "study" / "made" / name).touch()
    return root


def study(world: Path, *words: str, code: int = 0) -> str:
    command = ["study", "--workspace", str(world), "--config", str(world / "small.yaml")]
    said = CliRunner().invoke(app, [*command, "--device", "cpu", "--jobs", "1", *words])
    assert said.exit_code == code, said.output + str(said.exception)
    return said.output + str(said.exception or "")


def _cells(world: Path) -> dict[str, dict[str, Any]]:
    return read_cells(world / "study" / "study.jsonl", "study")


@pytest.fixture(scope="module")
def done(world: Path) -> str:
    return study(world)


def test_all_cells_are_there(world: Path, done: str) -> None:
    cells = _cells(world)
    count = {
        "pretrain": 2 * 3,
        "choose-frozen": 3 * 2,
        "choose-tuned": 3,
        "frozen": 3 * 3 * 4,
        "tuned": 3 * 3 * 2,
    }
    for kind, wanted in count.items():
        assert sum(cell["unit"].startswith(f"{kind}/") for cell in cells.values()) == wanted, kind
    assert len(cells) == sum(count.values())
    assert "Primary endpoint (frozen linear probe at 50 % of the scans" in done
    assert "ours - shuffled_targets" in done
    assert (world / "report" / "figures" / "study.png").is_file()
    assert not list((world / "study" / "runs").glob("*"))


def test_arms_see_the_same_labels(world: Path, done: str) -> None:
    scans: dict[tuple[float, int], set[int]] = {}
    for cell in _cells(world).values():
        if cell["unit"].startswith("frozen/"):
            scans.setdefault((cell["percent"], cell["subset"]), set()).add(cell["scans"])
    assert scans == {(50, 0): {1}, (50, 1): {1}, (100, 0): {2}, (100, 1): {2}}
    rates = {
        (cell["arm"], cell["rate"])
        for cell in _cells(world).values()
        if cell["unit"].startswith("frozen/")
    }
    assert len(rates) == 3  # one for each arm, the one that was best where rates are chosen
    for arm, rate in rates:
        tried = {
            cell["rate"]: cell["measures"]["miou"]
            for cell in _cells(world).values()
            if cell["unit"] == f"choose-frozen/{arm}"
        }
        assert tried[rate] == max(tried.values())


def test_what_is_there_is_not_run_again(world: Path, done: str) -> None:
    lines = (world / "study" / "study.jsonl").read_bytes()
    again = study(world)
    assert (world / "study" / "study.jsonl").read_bytes() == lines
    assert again.count("are there") == 4
    assert "to do" not in again


def test_lost_lines_are_made_again_and_the_same(world: Path, done: str, tmp_path: Path) -> None:
    before = _cells(world)
    path = tmp_path / "study.jsonl"
    lines = (world / "study" / "study.jsonl").read_text().splitlines(keepends=True)
    lost = [line for line in lines if json.loads(line)["unit"] == "frozen/ours/1"][2:]
    lost += [line for line in lines if json.loads(line)["unit"] == "tuned/scratch/0/50/1"]
    path.write_text("".join(line for line in lines if line not in lost))
    said = study(world, "--results", str(path))
    assert "frozen features: 8 of 9 are there, 1 to do, about" in said
    assert "fine-tunings: 17 of 18 are there" in said
    after = read_cells(path, "study")
    assert after.keys() == before.keys()
    for name, cell in after.items():
        assert cell["measures"] == before[name]["measures"], name


def test_it_shows_what_the_lines_hold(world: Path, done: str) -> None:
    said = study(world, "--markdown")
    assert said.count("|---|") or said.count("| --- |")
    cells = [cell for cell in _cells(world).values() if cell["unit"].startswith("frozen/ours/")]
    mean = fmean(cell["measures"]["miou"] for cell in cells if cell["percent"] == 50)
    assert f"{mean:.4f} +- " in said
    assert study(world, "--show").splitlines()[0] in done


def test_another_configuration_is_another_study(world: Path, done: str) -> None:
    said = study(world, "--set", "segmentation.num_points=128", "--set", "study.pre_trainings=1")
    assert "pre-trainings: 2 of 2 are there" in said
    assert "frozen features: 0 of 3 are there, 3 to do" in said


def test_what_cannot_be_is_said_at_once(world: Path, tmp_path: Path) -> None:
    said = study(world, "--set", "study.arms=[ours, nothing]", code=1)
    assert "nothing: no such variant" in said
    assert "ours" in study(world, "--set", "study.arms=[scratch]", code=1)
    assert "no line of results yet" in study(
        world, "--show", "--results", str(tmp_path / "a.jsonl")
    )


def test_official_lists_are_read(world: Path, done: str, tmp_path: Path) -> None:
    (tmp_path / "50.txt").write_text("scene0902_00\n")
    (tmp_path / "100.txt").write_text("scene0901_00\nscene0902_00\n")
    path = tmp_path / "lists.jsonl"
    study(world, "--results", str(path), "--set", f"study.lists={tmp_path}", "--set", "study.pre_trainings=1",
          "--set", "study.tuned_steps={}")  # fmt: skip
    cells = [cell for cell in read_cells(path, "study").values() if cell["unit"] == "frozen/ours/0"]
    assert [(cell["percent"], cell["subset"], cell["scans"]) for cell in cells] == [
        (50, 0, 1), (100, 0, 2),
    ]  # fmt: skip
