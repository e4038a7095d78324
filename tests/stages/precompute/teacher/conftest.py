"""A small extracted world, a teacher that was trained on it, and its cache; read-only."""

from pathlib import Path

import pytest

from stages.precompute.recordings import extract
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.precompute.teacher.teachers import Teacher, load_teacher
from stages.sources.scannet_layout import find_scenes
from tests.worlds.teacher import CACHE, run_cache, train_tiny


@pytest.fixture(scope="package")
def workspace(scannet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four extracted scenes of 4 or 5 kept frames, and a trained teacher; read-only."""
    root = tmp_path_factory.mktemp("workspace")
    extract.run(
        ExtractConfig(stride_frames=5, points_per_frame=64),
        scenes=find_scenes(scannet, ("train", "val")).scenes,
        frames=root / "frames",
        points=root / "points.zarr",
    )
    train_tiny(root)
    return root


@pytest.fixture(scope="package")
def teacher(workspace: Path) -> Teacher:
    return load_teacher(CACHE, trained=workspace / "teacher" / "tiny")


@pytest.fixture(scope="package")
def cached(workspace: Path, teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cached")
    report = run_cache(workspace, teacher, out)
    assert (report.cached, report.complete_before, report.failed) == (4, 0, {})
    assert (report.images, report.invalid) == (16, {})
    return out / "teacher" / "tiny.zarr"
