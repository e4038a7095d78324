"""The teacher's cache run again: by several processes, after kills, of another teacher."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cache.card import CardError
from cache.commit import claim
from cache.prefixes import (
    PREFIX,
    read_array,
    read_statistics,
    store_identity,
)
from cache.scene_group import list_scenes
from stages.machine.shares import Share
from stages.precompute.recordings import extract
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.precompute.teacher import teacher_cache
from stages.precompute.teacher.clip_images import Preprocessing
from stages.precompute.teacher.teachers import Teacher, load_teacher
from stages.sources.scannet_layout import find_scenes
from tests.conftest import REPOSITORY
from tests.worlds.extracted import tree
from tests.worlds.recordings import write_scannet
from tests.worlds.teacher import CACHE, run_cache, train_tiny


def test_running_again_does_nothing(
    workspace: Path, teacher: Teacher, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(cached)
    monkeypatch.setattr(teacher_cache, "iter_images", None)  # reading one would raise
    report = run_cache(workspace, teacher, cached.parents[1])
    assert (report.cached, report.complete_before, report.num_train_rows) == (0, 4, 12)
    assert tree(cached) == before


@pytest.mark.processes
def test_processes_and_shares_write_the_same_bytes(
    workspace: Path, teacher: Teacher, cached: Path, tmp_path: Path
) -> None:
    run_cache(workspace, teacher, tmp_path / "workers", workers=2)
    first = run_cache(workspace, teacher, tmp_path / "shares", share=Share(0, 2))
    second = run_cache(workspace, teacher, tmp_path / "shares", share=Share(1, 2))
    assert (first.cached, first.num_train_rows) == (2, None)
    assert (second.cached, second.num_train_rows) == (2, 12)
    for name in ("workers", "shares"):
        assert tree(tmp_path / name / "teacher" / "tiny.zarr") == tree(cached)


class Killed(Preprocessing):
    """Preprocessing whose process is killed, as on a machine short of memory, while a file is there."""

    def __call__(self, encoded: bytes) -> np.ndarray:
        if Path(os.environ["KILLED_WHILE"]).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(encoded)


def test_killed_decoders_store_nothing_and_the_next_run_does(
    workspace: Path, teacher: Teacher, cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "no memory"
    flag.touch()
    monkeypatch.setenv("KILLED_WHILE", str(flag))
    monkeypatch.setattr(
        teacher, "tower",
        replace(teacher.tower, preprocessing=Killed(**vars(teacher.tower.preprocessing))),
    )  # fmt: skip
    report = run_cache(workspace, teacher, tmp_path, workers=1)
    assert (report.cached, report.complete_before, len(report.failed)) == (0, 0, 4)
    assert "row 0: the process that decodes it died" in report.failed["scene0000_00"]
    assert list_scenes(tmp_path / "teacher" / "tiny.zarr") == []
    flag.unlink()
    report = run_cache(workspace, teacher, tmp_path, workers=1)
    assert (report.cached, report.invalid, report.failed) == (4, {}, {})
    assert tree(tmp_path / "teacher" / "tiny.zarr") == tree(cached)


def test_another_teacher_is_refused_or_replaces(
    workspace: Path, cached: Path, teacher: Teacher, tmp_path: Path
) -> None:
    store = shutil.copytree(cached, tmp_path / "teacher" / "tiny.zarr")
    other = load_teacher(
        CACHE.model_copy(update={"normalize_embedding": True}),
        trained=workspace / "teacher" / "tiny",
    )
    with pytest.raises(CardError, match=r"normalize_embedding: false there, true asked.*name=NAME"):
        run_cache(workspace, other, tmp_path)
    assert tree(store) == tree(cached)
    assert run_cache(workspace, other, tmp_path, overwrite=True).cached == 4
    assert store_identity(store)["identity"]["normalize_embedding"] is True


def test_two_teachers_at_once_are_refused(
    workspace: Path, teacher: Teacher, tmp_path: Path
) -> None:
    running = tmp_path / "teacher" / ".locks" / "tiny.zarr.running"
    with (
        claim(running, {**teacher.identity(), "precision": "bf16"}),
        pytest.raises(CardError, match="another run is writing here now"),
    ):
        run_cache(workspace, teacher, tmp_path)


def test_what_is_damaged_or_stale_is_cached_again(
    workspace: Path, cached: Path, teacher: Teacher, scannet: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(cached, tmp_path / "teacher" / "tiny.zarr")
    (store / "scene0001_00" / "prefix" / "c" / "0" / "0" / "0").unlink()
    with pytest.raises(CardError, match="chunks are missing; delete"):
        read_array(store, "scene0001_00", PREFIX)
    assert run_cache(workspace, teacher, tmp_path).cached == 1
    assert tree(store) == tree(cached)
    for name in ("frames", "points.zarr"):
        shutil.copytree(workspace / name, tmp_path / name)
    extract.run(
        ExtractConfig(stride_frames=4, points_per_frame=64),
        scenes=find_scenes(scannet, ("train", "val")).scenes,
        frames=tmp_path / "frames", points=tmp_path / "points.zarr", overwrite=True,
    )  # fmt: skip
    assert run_cache(tmp_path, teacher, tmp_path).cached == 4


def command(workspace: Path, *start: str) -> list[str]:
    return [
        *start, "pipeline", "teacher-cache", "--workspace", str(workspace), "--device", "cpu",
        "--workers", "1", "--set", "teacher.name=tiny", "--set", "teacher.source=trained",
        "--set", "teacher.trained=tiny", "--set", "teacher.batch_images=3",
    ]  # fmt: skip


@pytest.mark.processes
def test_torchrun_divides_the_scenes(workspace: Path, cached: Path, tmp_path: Path) -> None:
    root = shutil.copytree(workspace, tmp_path / "root")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        command(root, *torchrun, "--standalone", "-m"), cwd=REPOSITORY, check=True,
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.count("2 scenes cached") == 2
    assert list_scenes(root / "teacher" / "tiny.zarr") == list_scenes(cached)
    assert read_statistics(root / "teacher" / "tiny.zarr").num_rows == 12


@pytest.mark.processes
def test_killed_and_run_again(tmp_path: Path) -> None:
    """SIGKILL at several moments; what is there counts, and the contents come out the same."""
    root = tmp_path / "killed"
    write_scannet(tmp_path / "scannet", num_frames=40)
    extract.run(
        ExtractConfig(stride_frames=1, points_per_frame=64),
        scenes=find_scenes(tmp_path / "scannet", ("train", "val")).scenes,
        frames=root / "frames",
        points=root / "points.zarr",
    )
    train_tiny(root)
    undisturbed = shutil.copytree(root, tmp_path / "undisturbed")
    subprocess.run(command(undisturbed, sys.executable, "-m"), cwd=REPOSITORY, check=True,
                   capture_output=True)  # fmt: skip
    store = root / "teacher" / "tiny.zarr"
    for moment in range(4):
        process = subprocess.Popen(
            command(root, sys.executable, "-m"), cwd=REPOSITORY, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while len(list_scenes(store)) < moment and process.poll() is None:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command(root, sys.executable, "-m"), cwd=REPOSITORY, check=True,
                   capture_output=True)  # fmt: skip
    assert tree(store) == tree(undisturbed / "teacher" / "tiny.zarr")
    assert not [path for path in root.rglob("*.partial/*") if path.is_file()]
