"""`variants` and `pretrain-all`: every variant is listed, runs by one line, and is not run twice."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cache.results import append_cell, read_cells
from pipeline.cli import app
from pipeline.config import load_section
from pipeline.variants import all_variants
from stages.precompute.teacher.teachers import TeacherConfig
from stages.settings import ConfigError
from stages.training.pretraining.config import PretrainConfig
from tests.worlds.pairs import SMALL_YAML, write_world
from tests.worlds.scans import prepare_golden_scans

NAMES = [variant.name for variant in all_variants()]


def invoke(world: Path, *words: str) -> tuple[int, str]:
    command = [words[0], "--workspace", str(world), *words[1:]]
    if words[0] != "variants":
        command += ["--config", str(world / "small.yaml"), "--device", "cpu"]
    said = CliRunner().invoke(app, command, catch_exceptions=False)
    return said.exit_code, said.output


def small_world(root: Path) -> Path:
    write_world(root, train=3, val=1)
    small = SMALL_YAML.replace("epochs: 4", "epochs: 1")
    (root / "small.yaml").write_text(small + "segmentation: {num_points: 256}\n")
    return root


def test_every_variant_says_what_it_is_and_changes_only_that() -> None:
    assert {"pointmae", "maskpoint", "dense", "shuffled_targets", "without_concepts"} <= set(NAMES)
    paper = load_section("paper", "pretrain", PretrainConfig)
    for variant in all_variants():
        assert variant.changes
        assert variant.paper
        own = load_section(f"variants/{variant.name}", "pretrain", PretrainConfig)
        assert own.name == variant.name
        over = load_section(variant.over("paper"), "pretrain", PretrainConfig)
        assert over == own  # its own values over the paper's are what it is
        changed = {k for k, v in own if v != getattr(paper, k)} - {"name"}
        assert changed <= {"objective", "num_points", "control", "teacher"}, variant.name
        assert len(changed) == 1
    assert load_section("random_teacher", "teacher", TeacherConfig).kind == "random"


def test_a_variant_goes_over_another_configuration() -> None:
    demo = load_section("demo", "pretrain", PretrainConfig)
    own = load_section("demo+pointmae", "pretrain", PretrainConfig)
    assert own.objective.kind == "masked"
    assert own == demo.model_copy(update={"name": "pointmae", "objective": own.objective})
    with pytest.raises(ValueError, match="nothing: no such configuration"):
        load_section("demo+nothing", "pretrain", PretrainConfig)


def test_another_kind_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "pretrain:\n  objective: {kind: concepts, num_concepts: 8, head: mixer}\n"
    )
    config = str(tmp_path / "a.yaml")
    told = load_section(config, "pretrain", PretrainConfig, ["pretrain.objective.kind=masked"])
    assert told.objective.kind == "masked"
    same = load_section(config, "pretrain", PretrainConfig, ["pretrain.objective.target=clip"])
    assert same.objective.num_concepts == 8
    for change, message in (
        (
            "pretrain.objective.hed=mixer",
            r"unknown key pretrain\.objective\.hed; did you mean pretrain\.objective\.head\?",
        ),
        ("pretrain.objective.kind=masket", r"pretrain\.objective.*'masked'"),
        ("pretrain.loss=mse", r"pretrain\.loss is now pretrain\.objective\.loss"),
    ):
        with pytest.raises(ValueError, match=message):
            load_section(config, "pretrain", PretrainConfig, [change])


def test_all_run_in_turn_and_once(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    prepare_golden_scans(world)
    only = "ours,pointmae,without_captioner,dense,random_teacher"
    code, said = invoke(world, "pretrain-all", "--only", only, "--seeds", "2")
    assert code == 0, said
    # The store says that it has no arrays but the prefix, though the test's has: what it says counts.
    assert "left out: without_captioner" in said
    assert 'teacher.arrays=[clip]"' in said
    assert "left out: random_teacher" in said
    cells = read_cells(world / "pretrain" / "variants.jsonl", "variants")
    assert list(cells) == ["ours", "pointmae"]
    assert cells["pointmae"]["probe"]["seeds"] == 2
    assert "val_rebuilt" in cells["pointmae"]["measures"]
    assert "ridge_val_r2" in cells["ours"]["bars"]
    code, said = invoke(world, "pretrain-all", "--only", only)
    assert "0 finished now, 2 before" in said
    code, said = invoke(world, "variants")
    assert code == 0
    assert [name for name in NAMES if f"\n{name}\n" not in said] == []
    assert said.count("ran      not here") == len(NAMES) - 1
    assert "Table 3, MaskPoint on ScanNetV2, 92.7" in said
    code, said = invoke(world, "variants", "--markdown")
    assert "| pointmae | rebuilt " in said
    with pytest.raises(ConfigError, match="no such variant; known are ours"):
        invoke(world, "pretrain-all", "--only", "nothing")


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_cell(path, {"study": "a", "cell": "one", "fingerprint": "1"})
    with open(path, "a") as file:
        file.write('{"study": "a", "cell": "tw')
    assert list(read_cells(path, "a")) == ["one"]
    append_cell(path, {"study": "a", "cell": "three", "fingerprint": "3"})
    append_cell(path, {"study": "b", "cell": "four", "fingerprint": "4"})
    assert list(read_cells(path, "a")) == ["one", "three"]
    assert [json.loads(line)["cell"] for line in path.read_text().splitlines()] == [
        "one",
        "three",
        "four",
    ]
    path.write_text("no json\n" + path.read_text())
    with pytest.raises(ValueError, match="line 1 is damaged"):
        read_cells(path, "a")
