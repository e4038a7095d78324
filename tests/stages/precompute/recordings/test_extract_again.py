"""`extract` again: what is complete is left alone, and nothing is lost, mixed or half-written."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from cache.card import CardError
from cache.commit import claim, lock
from cache.frames import KEPT, read_frames
from cache.points import read_points
from cache.scene_group import list_scenes, scene_card
from stages.machine.progress import Progress
from stages.machine.shares import Share
from stages.precompute.recordings import extract, extract_scene
from stages.sources.scannet_layout import find_scenes
from tests.conftest import REPOSITORY
from tests.harness.running import LAST_RESORT_S
from tests.worlds.extracted import CONFIG, run, tree
from tests.worlds.recordings import (
    write_scannet,
)


def test_a_scene_without_its_manifest_is_not_complete(scannet: Path, tmp_path: Path) -> None:
    run(scannet, tmp_path)
    before = tree(tmp_path)
    (tmp_path / "frames" / "scene0001_00.parquet").unlink()
    report = run(scannet, tmp_path)
    assert (report.extracted, report.complete_before) == (1, 3)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("size", [0, 1000])
def test_a_manifest_that_was_cut_off_is_written_again(
    scannet: Path, tmp_path: Path, size: int
) -> None:
    run(scannet, tmp_path)
    before = tree(tmp_path)
    manifest = tmp_path / "frames" / "scene0001_00.parquet"
    manifest.write_bytes(manifest.read_bytes()[:size])
    assert run(scannet, tmp_path).extracted == 1
    assert tree(tmp_path) == before


def test_a_chunk_that_is_gone_is_noticed(scannet: Path, tmp_path: Path) -> None:
    """Zarr itself would read zeros."""
    run(scannet, tmp_path)
    before = tree(tmp_path)
    (tmp_path / "points.zarr" / "scene0001_00" / "c" / "0" / "0" / "0").unlink()
    with pytest.raises(CardError, match="1 of its chunks are missing"):
        read_points(tmp_path / "points.zarr", "scene0001_00")
    assert run(scannet, tmp_path).extracted == 1
    assert tree(tmp_path) == before


def test_two_configurations_at_once_are_refused(scannet: Path, tmp_path: Path) -> None:
    running = tmp_path / "frames" / ".locks" / "points.zarr.running"
    val = find_scenes(scannet, ("val",)).scenes
    with claim(running, CONFIG.model_copy(update={"stride_frames": 4}).content()):
        with pytest.raises(CardError, match=r"another run is writing.*stride_frames: 4 there, 5"):
            run(scannet, tmp_path, scenes=val)
        assert list_scenes(tmp_path / "points.zarr") == []
    with claim(running, CONFIG.content()):
        assert run(scannet, tmp_path, scenes=val).extracted == 1


def test_points_are_committed_last(
    scannet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their card says that the scene is complete: a failure before it leaves an incomplete scene."""
    committed = []

    def fail_at_points(partial: Path, final: Path) -> None:
        if final.suffix != ".parquet":
            raise OSError("no space left")
        committed.append(final.name)

    monkeypatch.setattr(extract_scene, "commit", fail_at_points)
    report = run(scannet, tmp_path, scenes=find_scenes(scannet, ("val",)).scenes)
    assert list(report.failed) == ["scene0002_00"]
    assert committed == ["scene0002_00.parquet"]
    assert scene_card(tmp_path / "points.zarr", "scene0002_00") is None


def test_rerunning_opens_nothing(
    scannet: Path, extracted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(extracted)
    for module in (extract, extract_scene):
        monkeypatch.setattr(module, "SensReader", None)  # opening one would raise
    report = run(scannet, extracted)
    assert (report.extracted, report.complete_before) == (0, 4)
    assert report.statuses == {KEPT: 16, extract_scene.TOO_FEW: 4}
    assert tree(extracted) == before


@pytest.mark.processes
def test_processes_and_shards_write_the_same_bytes(
    scannet: Path, extracted: Path, tmp_path: Path
) -> None:
    run(scannet, tmp_path / "two", workers=2)
    for index in range(3):
        run(scannet, tmp_path / "shards", shard=Share(index, 3))
    assert tree(tmp_path / "two") == tree(extracted)
    assert tree(tmp_path / "shards") == tree(extracted)


def test_shards_do_not_overlap(scannet: Path, tmp_path: Path) -> None:
    counts = [
        run(scannet, tmp_path / str(index), shard=Share(index, 3)).extracted for index in range(3)
    ]
    assert counts == [2, 1, 1]


def test_another_configuration_is_refused_by_name(scannet: Path, extracted: Path) -> None:
    before = tree(extracted)
    other = CONFIG.model_copy(update={"stride_frames": 4, "max_depth_m": 3.0})
    with pytest.raises(CardError) as caught:
        run(scannet, extracted, other)
    message = str(caught.value)
    assert "stride_frames: 5 there, 4 asked" in message
    assert "max_depth_m: 20.0 there, 3.0 asked" in message
    assert "--overwrite" in message
    assert "points_per_frame" not in message
    assert tree(extracted) == before


def test_overwrite_replaces_but_never_mixes(scannet: Path, tmp_path: Path) -> None:
    run(scannet, tmp_path)
    other = CONFIG.model_copy(update={"stride_frames": 4})
    val = find_scenes(scannet, ("val",)).scenes
    with pytest.raises(CardError, match="would mix two configurations"):
        run(scannet, tmp_path, other, scenes=val, overwrite=True)
    report = run(scannet, tmp_path, other, overwrite=True)
    assert (report.extracted, report.complete_before) == (4, 0)
    again = run(scannet, tmp_path, other, overwrite=True)
    assert (again.extracted, again.complete_before) == (0, 4)
    assert len(read_frames(tmp_path / "frames" / "scene0000_00.parquet")) == 6


def test_a_changed_input_is_refused_by_name(scannet: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    run(root, tmp_path)
    changed = root / "scans" / "scene0001_00" / "scene0001_00.sens"
    size = changed.stat().st_size
    with open(changed, "ab") as file:
        file.write(b"12")
    report = run(root, tmp_path)
    assert list(report.failed) == ["scene0001_00"]
    assert f"sens_bytes: {size} there, {size + 2} asked" in report.failed["scene0001_00"]
    assert run(root, tmp_path, overwrite=True).extracted == 1


def test_a_scene_that_may_not_be_looked_at_fails_alone(
    scannet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its folder is another user's: `is_file` raises."""
    is_file = Path.is_file

    def refused(path: Path) -> bool:
        if path.parent.name == "scene0001_00":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    found = find_scenes(scannet, CONFIG.splits)
    assert (len(found.scenes), found.missing) == (4, ())
    report = run(scannet, tmp_path, scenes=found.scenes)
    assert report.extracted == 3
    assert list(report.failed) == ["scene0001_00"]
    assert "cannot be read: [Errno 13] Permission denied" in report.failed["scene0001_00"]


def test_a_folder_that_links_to_itself_is_a_missing_scene(scannet: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    shutil.rmtree(root / "scans" / "scene0001_00")
    (root / "scans" / "scene0001_00").symlink_to("scene0001_00")
    assert find_scenes(root, CONFIG.splits).missing == ("scene0001_00",)


@pytest.mark.processes
def test_one_bad_scene_never_stops_the_others(scannet: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    bad = {
        name: root / "scans" / name / f"{name}.sens" for name in ("scene0000_00", "scene0000_01")
    }
    bad["scene0000_00"].write_bytes(b"nothing of the kind")
    whole = bad["scene0000_01"].read_bytes()
    bad["scene0000_01"].write_bytes(whole[: len(whole) * 2 // 3])
    report = run(root, tmp_path / "out", workers=2)
    assert report.extracted == 3
    assert list(report.failed) == ["scene0000_00"]
    assert "only version 4" in report.failed["scene0000_00"]
    assert "the file ends at" in report.damaged["scene0000_01"]
    card = scene_card(tmp_path / "out" / "points.zarr", "scene0000_01")
    assert card is not None
    assert card.counts["frames_in_header"] == 24 > card.counts["frames_whole"] > 0
    assert card.counts["frames_sampled"] == -(-card.counts["frames_whole"] // 5)
    assert list_scenes(tmp_path / "out" / "points.zarr") == [
        "scene0000_01", "scene0001_00", "scene0002_00",
    ]  # fmt: skip
    assert not list((tmp_path / "out").rglob("*partial*"))


@pytest.mark.processes
def test_another_process_is_waited_for(
    scannet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody else holds a scene's lock, the others go on; then it is done too."""
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    lock_file = tmp_path / "frames" / ".locks" / "scene0000_00"
    holder = context.Process(target=hold_lock, args=(lock_file, ready, release))
    holder.start()
    assert ready.wait(LAST_RESORT_S)
    done_before: list[str] = []

    def note(_: Progress, text: str) -> None:
        assert text == "scene0000_00: waiting for the process that is writing it"
        done_before.extend(list_scenes(tmp_path / "points.zarr"))
        release.set()

    monkeypatch.setattr(Progress, "note", note)
    report = run(scannet, tmp_path)
    holder.join()
    assert done_before == ["scene0000_01", "scene0001_00", "scene0002_00"]
    assert (report.extracted, report.failed) == (4, {})


def hold_lock(path: Path, ready: Event, release: Event) -> None:
    with lock(path, wait=True):
        ready.set()
        release.wait(LAST_RESORT_S)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.processes
def test_killed_at_any_moment_and_run_again(tmp_path: Path, workers: int) -> None:
    """SIGKILL at ten moments of a run; what is there counts, the rest is done again, bytes equal."""
    write_scannet(tmp_path / "scannet", num_frames=40)
    config = CONFIG.model_copy(update={"stride_frames": 1})
    run(tmp_path / "scannet", tmp_path / "undisturbed", config)
    out = tmp_path / "killed"
    command = [
        sys.executable, "-m", "pipeline", "extract", "--scannet", str(tmp_path / "scannet"),
        "--workspace", str(out), "--workers", str(workers),
        "--set", "extract.stride_frames=1", "--set", "extract.points_per_frame=2048",
    ]  # fmt: skip
    process = None
    for moment in range(10):
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        wait_for_files(process, out, more=3 * moment + 1)
        if process.poll() is None:
            # The whole group at once, or the parent alone: its workers must notice.
            (os.killpg if moment % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.communicate(timeout=LAST_RESORT_S)  # its workers hold the pipe too
    finish = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert "0 failed" in finish.stdout
    assert tree(out) == tree(tmp_path / "undisturbed")
    # At most an empty folder, of a scene that was complete when its process was killed.
    assert not [path for path in out.rglob(".*partial/**/*") if path.is_file()]


def wait_for_files(process: subprocess.Popen[bytes], out: Path, *, more: int) -> None:
    """Wait until so many files that were not there before were seen, or the process has ended."""
    before = files_in(out)
    seen: set[Path] = set()
    while process.poll() is None and len(seen - before) < more:
        seen |= files_in(out)
        time.sleep(0.001)


def files_in(out: Path) -> set[Path]:
    return {Path(folder, name) for folder, _, names in os.walk(out) for name in names}
