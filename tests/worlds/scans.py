"""Prepared scans for the tasks' tests: the reference's tiny scenes, or one real scan."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from pipeline.cli import app
from stages.sources import scannet_scans
from tests.conftest import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "scannet_labels"
FIRST, SECOND, THIRD = "scene0901_00", "scene0902_00", "scene0903_00"


def prepare_golden_scans(root: Path) -> None:
    """The golden scenes as train and val (the first one's copy), and the second's as test."""
    shutil.copytree(GOLDEN / "scans", root / "scans")
    shutil.copy(GOLDEN / "labels.tsv", root / scannet_scans.LABEL_FILE)
    _copy(root / "scans", FIRST, THIRD)
    _prepare(root, {"train": [FIRST, SECOND], "val": [THIRD], "test": []})


def prepare_real_scan(root: Path, votenet: Path, every: int = 1) -> None:
    """The real scan, or every so manieth vertex of it, for training, and again to be judged on."""
    folder = root / "votenet"
    folder.mkdir()
    for name in ("vert", "sem_label", "ins_label"):
        values = np.load(votenet / f"scene0000_00_{name}_all.npy")[::every]
        for scene in ("scene0000_00", "scene0000_01"):
            np.save(folder / f"{scene}_{name}_all.npy", values)
    _prepare(
        root,
        {"train": ["scene0000_00"], "val": ["scene0000_01"], "test": []},
        "--votenet-dir",
        str(folder),
    )


def evaluated(root: Path, run: Path) -> Any:
    """What `evaluate` finds of a run's last weights."""
    arguments = ["evaluate", str(run), "--workspace", str(root), "--device", "cpu"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    return json.loads((run / "evaluated_last.json").read_text())["final"]


def _copy(scans: Path, scene: str, name: str) -> None:
    shutil.copytree(scans / scene, scans / name)
    for file in list((scans / name).iterdir()):
        file.rename(file.with_name(file.name.replace(scene, name)))


def _prepare(root: Path, splits: dict[str, list[str]], *options: str) -> None:
    for split, ids in splits.items():
        (root / f"scannetv2_{split}.txt").write_text("".join(f"{name}\n" for name in ids))
    arguments = ["prepare", "scannet", str(root), "--workspace", str(root), "--workers", "1"]
    said = CliRunner().invoke(app, [*arguments, *options])
    assert said.exit_code == 0, said.output
