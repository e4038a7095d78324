"""`finetune-all`: it looks before it begins, and its table loses no row."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cache.card import OtherConfigurationError
from pipeline.cli import app
from stages.settings import ConfigError
from tests.worlds.objects import invoke, prepare_boxes

ONE_EPOCH = [f"--set={task}.training.epochs=1" for task in ("classification", "parts")]
COMMON = ["finetune-all", "--init", "scratch", "--device", "cpu"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("objects")
    prepare_boxes(root)
    return root


@pytest.fixture(scope="module")
def finished(world: Path) -> Path:
    """Both object tasks, finished, and their table."""
    invoke(world, *COMMON, "--name", "all", *ONE_EPOCH)
    return world


def table(root: Path, name: str = "all") -> Any:
    return json.loads((root / "finetune" / f"{name}.json").read_text())


def refused(root: Path, *arguments: str) -> BaseException:
    """Run a command that must be refused, and see that it left everything as it was."""
    before = {path: path.stat().st_mtime_ns for path in (root / "finetune").rglob("*")}
    common = ("--config", str(root / "small.yaml"), "--workspace", str(root))
    result = CliRunner().invoke(app, [*arguments, *common])
    assert {path: path.stat().st_mtime_ns for path in (root / "finetune").rglob("*")} == before
    assert result.output == ""
    assert result.exception is not None
    return result.exception


def test_other_runs_under_the_name_are_refused_before_anything(finished: Path) -> None:
    """One that is another is enough, and all of them are named at once."""
    change = "--set=classification.training.lr=0.02"
    error = refused(finished, *COMMON, "--name", "all", *ONE_EPOCH, change)
    assert isinstance(error, OtherConfigurationError)
    assert "classification/all/seed0: training.lr: 0.003 there, 0.02 asked. Give" in str(error)
    error = refused(finished, *COMMON, "--name", "all", change)  # eight epochs of both
    assert "parts/all/seed0: training.epochs: 1 there, 8 asked. Give" in str(error)
    assert "training.lr: 0.003 there, 0.02 asked; " in str(error)


def test_another_start_is_refused_before_anything(finished: Path) -> None:
    run = finished / "finetune" / "parts" / "all" / "seed0"
    error = refused(finished, "finetune-all", "--init", str(run), "--name", "all", *ONE_EPOCH)
    assert isinstance(error, OtherConfigurationError)
    assert 'inputs.init: "scratch" there, ' in str(error)


def test_a_start_that_is_not_there_is_refused_before_anything(finished: Path) -> None:
    error = refused(finished, "finetune-all", "--init", "nowhere", "--name", "all", *ONE_EPOCH)
    assert isinstance(error, ConfigError)
    assert "--init nowhere" in str(error)


def test_without_any_data(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("")
    (tmp_path / "finetune").mkdir()
    error = refused(tmp_path, *COMMON)
    assert isinstance(error, ConfigError)
    assert "scans: not there; run prepare first" in str(error)
    (tmp_path / "objects").mkdir()
    error = refused(tmp_path, *COMMON)
    assert isinstance(error, ConfigError)
    assert "no task's data is prepared" in str(error)
    assert "run prepare modelnet40" in str(error)
    assert not list((tmp_path / "finetune").iterdir())


def test_a_table_that_is_none_is_refused_before_anything(world: Path) -> None:
    (world / "finetune").mkdir(exist_ok=True)
    (world / "finetune" / "broken.json").write_text("{")
    error = refused(world, *COMMON, "--name", "broken", *ONE_EPOCH)
    assert "broken.json: not a table of finetune-all" in str(error)


def test_a_row_stays_until_a_new_one_takes_its_place(world: Path) -> None:
    arguments = [*COMMON, "--name", "kept"]
    invoke(world, *arguments, *ONE_EPOCH)
    before = table(world, "kept")["tasks"]
    said = invoke(
        world, *arguments, "--overwrite", "--set=classification.training.batch=1000",
        "--set=parts.training.epochs=2", code=1, fails=True,
    )  # fmt: skip
    now = table(world, "kept")
    assert now["tasks"]["classification"] == before["classification"]
    assert now["tasks"]["parts"] != before["parts"]
    assert "a batch of 1000" in now["failed"]["classification"]
    assert "from before: classification" in said
    assert list(now["tasks"]) == ["classification", "parts"]
    (world / "objects" / "modelnet40.zarr").rename(world / "away")
    said = invoke(world, *arguments, "--set=parts.training.epochs=2")
    (world / "away").rename(world / "objects" / "modelnet40.zarr")
    assert table(world, "kept")["tasks"] == now["tasks"]
    assert "classification" in table(world, "kept")["left_out"]
    assert "failed" not in said
