"""`evaluate` on runs of `finetune`."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cache.card import Card
from pipeline.cli import app
from tests.worlds.objects import invoke, prepare_boxes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("objects")
    prepare_boxes(root)
    return root


def test_a_run_is_evaluated_again(world: Path) -> None:
    invoke(world, "finetune", "classification", "--init", "scratch", "--device", "cpu",
           "--set", "classification.name=judged", "--set", "classification.training.epochs=3",
           "--set", "classification.training.ema=0.5")  # fmt: skip
    run = world / "finetune" / "classification" / "judged" / "seed0"
    arguments = ["evaluate", str(run), "--device", "cpu", "--workspace", str(world)]
    said = CliRunner().invoke(app, arguments, catch_exceptions=False).output
    result = json.loads((run / "result.json").read_text())
    assert json.loads((run / "evaluated_last.json").read_text())["final"] == result["final"]
    # What the end of the run measures is the averaged network, as each epoch's line.
    assert result["final"]["val_accuracy"] == result["last"]["val_accuracy"]
    assert f"(the run: {result['final']['val_accuracy']:.4f})" in said
    assert "is not the run's" not in said
    said = CliRunner().invoke(app, [*arguments, "--weights", "best"], catch_exceptions=False).output
    assert f"epoch {result['best']['epoch']}" in said
    best = json.loads((run / "evaluated_best.json").read_text())
    assert best["final"]["val_accuracy"] == result["best"]["val_accuracy"]
    assert "the run:" not in said


def test_evaluate_says_when_the_data_is_another(world: Path) -> None:
    invoke(world, "finetune", "parts", "--init", "scratch", "--device", "cpu",
           "--set", "parts.name=judged", "--set", "parts.training.epochs=1")  # fmt: skip
    run = world / "finetune" / "parts" / "judged" / "seed0"
    card = json.loads((run / "run.json").read_text())
    card["inputs"]["test"] = "another"
    arguments = ["evaluate", str(run), "--device", "cpu", "--workspace", str(world)]
    other = Card(card["kind"], card["schema_version"], card["config"], card["inputs"])
    (run / "run.json").write_text(json.dumps(other.to_dict()))
    said = CliRunner().invoke(app, arguments, catch_exceptions=False).output
    assert "its data of test is not the run's any more" in said
    # The folder that finetune names, of which this is the only seed.
    arguments[1] = str(run.parent)
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).output == said
    shutil.rmtree(run / "best")
    failed = CliRunner().invoke(app, [*arguments, "--weights", "best"])
    assert "no checkpoint yet" in str(failed.exception)
