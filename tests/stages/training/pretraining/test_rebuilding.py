"""The probe of the paper's Table 7: both readings, beside random weights."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from stages.training.pretraining import rebuilding
from tests.worlds.pairs import SMALL_YAML, write_world


def test_both_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "STEPS", 60)
    write_world(tmp_path, train=3, val=1)
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    common = [
        "--config",
        str(tmp_path / "small.yaml"),
        "--workspace",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    objective = "pretrain.objective={kind: masked, decoder_depth: 1}"
    trained = CliRunner().invoke(
        app, ["pretrain", *common, "--set", objective], catch_exceptions=False
    )
    assert trained.exit_code == 0, trained.output
    run = tmp_path / "pretrain" / "tiny"
    words = ["probe", str(run), "--data", "frames", "--seeds", "2", *common]
    said = CliRunner().invoke(app, words, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert "these weights" in said.output
    found = json.loads((run / "probe_frames.json").read_text())
    first, fitted = (found["measures"][name] for name in rebuilding.READINGS)
    assert found["seeds"] == len(first["trained"]["runs"]) == 2
    for arm in ("trained", "random"):
        assert fitted[arm]["mean"] < first[arm]["mean"]
    # The same seeds say the same.
    again = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads((run / "probe_frames.json").read_text()) == found
    assert again.output == said.output
