"""Contact sheets of what a workspace has, and of data sets in their layouts."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli import app
from stages.report.figures.drawing import BACKGROUND
from stages.report.figures.object_sheet import run_modelnet40
from stages.report.figures.scan_sheet import prepared_scenes
from tests.worlds.scans import FIRST, SECOND, THIRD, prepare_golden_scans

# A wedge: its high side is at y = 1, its roof slopes to y = 0; z is up.
WEDGE = "OFF\n6 5 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n0 1 3\n1 1 3\n4 0 1 2 3\n3 0 3 4\n3 1 2 5\n4 3 2 5 4\n4 0 1 5 4\n"


def drawn(file: Path) -> np.ndarray:
    """Which pixels (H, W) are neither background nor black."""
    with Image.open(file) as image:
        pixels = np.asarray(image)
    return ~((pixels == BACKGROUND).all(axis=-1) | (pixels == 0).all(axis=-1))


def sheet(*words: object) -> list[Path]:
    """The files that `contact-sheet` drew."""
    said = CliRunner().invoke(app, ["contact-sheet", *map(str, words)])
    assert said.exit_code == 0, said.output + str(said.exception)
    return [Path(line) for line in said.stdout.splitlines()]


def test_a_workspace_of_prepared_scans(tmp_path: Path) -> None:
    prepare_golden_scans(tmp_path)
    assert list(prepared_scenes([tmp_path / "scans" / "scannet.zarr"])) == [FIRST, SECOND, THIRD]
    (all_of_them,) = sheet("--workspace", tmp_path)
    assert all_of_them.name == "scans.png"
    pixels = drawn(all_of_them)
    assert pixels.shape == (3 * 360, 3 * 480)
    for row in range(3):
        for column in range(3):
            tile = pixels[360 * row : 360 * (row + 1), 480 * column : 480 * (column + 1)]
            assert tile[40:].mean() > 0.02
    (one,) = sheet(SECOND, "--workspace", tmp_path)
    assert one.name == f"scan_{SECOND}.png"


def test_a_scan_without_annotation_is_drawn_too(tmp_path: Path) -> None:
    prepare_golden_scans(tmp_path)
    root = tmp_path / "again"
    root.mkdir()
    shutil.rmtree(tmp_path / "scans" / "scannet.zarr")
    (tmp_path / "scans").rename(root / "scans")
    for file in root.glob("scans/*/*.json"):
        file.unlink()
    (tmp_path / "scannetv2-labels.combined.tsv").rename(root / "scannetv2-labels.combined.tsv")
    for split, ids in (("train", ""), ("val", ""), ("test", FIRST)):
        (root / f"scannetv2_{split}.txt").write_text(ids)
    words = ["prepare", "scannet", str(root), "--workspace", str(root), "--workers", "1"]
    assert CliRunner().invoke(app, words).exit_code == 0
    (file,) = sheet("--workspace", root)
    assert drawn(file).any()


def test_a_workspace_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["contact-sheet", "--workspace", str(tmp_path)])
    assert "no extracted frames, prepared scans or sample world" in str(said.exception)
    said = CliRunner().invoke(app, ["contact-sheet", "scene9", "--workspace", str(tmp_path)])
    assert "scene9: no such scene in" in str(said.exception)


def test_off_meshes_stand_upright(tmp_path: Path) -> None:
    for name in ("wedge", "other"):
        for split in ("train", "test"):
            (tmp_path / "m" / name / split).mkdir(parents=True)
            (tmp_path / "m" / name / split / f"{name}_0001.off").write_text(WEDGE)
    (tmp_path / "m" / "other" / "train" / "other_0000.off").write_text("ply")  # the next is taken
    (file,) = sheet("--modelnet40", tmp_path / "m", "--workspace", tmp_path)
    pixels = drawn(file)
    assert pixels.shape == (200, 2 * 240)
    rows, columns = np.nonzero(pixels[25:, :240])
    # Three times as high as wide: it would lie on its side if y were up.
    assert np.ptp(rows) > np.ptp(columns)


def test_objects_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    (tmp_path / "m" / "wedge" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match="no training object in this OFF meshes layout"):
        run_modelnet40(tmp_path / "m", out=tmp_path / "a.png")
    (tmp_path / "m" / "wedge" / "train" / "wedge_0001.off").write_text("ply")
    with pytest.raises(ValueError, match=r"wedge_0001.off: expected an OFF mesh"):
        run_modelnet40(tmp_path / "m", out=tmp_path / "a.png")
    with pytest.raises(ValueError, match="no ModelNet40 here; known layouts are"):
        run_modelnet40(tmp_path, out=tmp_path / "a.png")
