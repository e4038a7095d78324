"""What frames show, read linearly from a cloud: beside random weights and plain geometry."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from typer.testing import CliRunner

from cache.card import Card
from cache.frame_labels import FrameLabels, write_frame_labels
from pipeline.cli import app
from stages.training.pretraining.in_view import Truth, precisions
from tests.worlds.pairs import SMALL_YAML, write_world

CHAIR, TABLE, WALL = 5, 7, 1


def test_precision_is_that_of_a_linear_reading() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 6))
    told = features @ generator.normal(size=(6, 2)) > 0
    truth = Truth((CHAIR, TABLE), told[:200], told[200:])
    found = precisions(torch.from_numpy(features[:200]), torch.from_numpy(features[200:]), truth)
    assert (found > 0.95).all()
    noise = torch.from_numpy(generator.normal(size=(300, 6)))
    blind = precisions(noise[:200], noise[200:], truth)
    # Of scores that tell nothing, average precision is about the share of what is searched.
    assert np.abs(blind - truth.held.mean(axis=0)).max() < 0.2
    assert average_precision_score(truth.held[:, 0], np.zeros(100)) == truth.held[:, 0].mean()


def _world(root: Path) -> None:
    """Boxes of random sizes, wide ones called chairs and tall ones tables, as `write_world` draws them."""
    write_world(root, train=8, val=4)
    frames = []
    for number in range(12):
        sizes = np.random.default_rng(number).uniform(0.3, 2.0, (8, 3))
        for index, (width, height, _) in enumerate(sizes):
            shown = [(WALL, 0.5), (CHAIR, 0.2 * (width > 1.15)), (TABLE, 0.2 * (height > 1.15))]
            there = [(kind, share) for kind, share in shown if share]
            frames.append(
                FrameLabels(
                    f"scene{number:04d}_00", 25 * index, tuple("x" for _ in there),
                    tuple(kind for kind, _ in there), tuple(share for _, share in there),
                )
            )  # fmt: skip
    write_frame_labels(root / "labels.parquet", frames, Card("frame labels", 1, {}, {}))


def _common(root: Path) -> list[str]:
    (root / "small.yaml").write_text(SMALL_YAML)
    return ["--config", str(root / "small.yaml"), "--workspace", str(root), "--device", "cpu"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("views")
    _world(root)
    done = CliRunner().invoke(app, ["pretrain", *_common(root)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return root


def test_a_probe_of_views(world: Path) -> None:
    run = world / "pretrain" / "tiny"
    words = ["probe", str(run), "--data", "views", "--seeds", "2", *_common(world)]
    said = CliRunner().invoke(app, words, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert "32 plain numbers" in said.output
    found = json.loads((run / "probe_views.json").read_text())
    assert set(found["by_class"]) == {str(CHAIR), str(TABLE)}  # walls are everywhere
    measure = found["measures"]["mean average precision"]
    assert len(measure["random"]["runs"]) == 2
    # The extents of a cloud are among the plain numbers.
    assert measure["geometry"]["mean"] > 0.9
    assert 0.3 < found["chance"] < 0.7


def test_labels_that_are_missing(world: Path, tmp_path: Path) -> None:
    run, labels = world / "pretrain" / "tiny", world / "labels.parquet"
    words = ["probe", str(run), "--data", "views", *_common(world)]
    kept = labels.read_bytes()
    labels.unlink()
    said = CliRunner().invoke(app, words)
    assert "run label-frames first" in str(said.exception)
    few = [FrameLabels("scene0000_00", 0, (), (), ())]
    write_frame_labels(labels, few, Card("frame labels", 1, {}, {}))
    said = CliRunner().invoke(app, words)
    assert "scene0000_00: frame 25 has no labels" in str(said.exception)
    labels.write_bytes(kept)
