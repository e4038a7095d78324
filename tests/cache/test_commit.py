"""Partial files: seen only when whole, cleaned up, and locked."""

import fcntl
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from io import TextIOWrapper
from pathlib import Path

import pytest

from cache.commit import LockedError, commit, lock, partial_path, sweep


def test_a_committed_file_replaces_the_old_one(tmp_path: Path) -> None:
    final = tmp_path / "store" / "a"
    for text in ("first", "second"):
        with partial_path(final) as partial:
            assert partial.parent != final.parent
            partial.write_text(text)
            commit(partial, final)
        assert final.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_committed_folder_replaces_the_old_one(tmp_path: Path) -> None:
    final = tmp_path / "store" / "a"
    for name in ("first", "second"):
        with partial_path(final) as partial:
            partial.mkdir()
            (partial / name).touch()
            commit(partial, final)
        assert [path.name for path in final.iterdir()] == [name]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    final = tmp_path / "store" / "a"

    def fail() -> None:
        with partial_path(final) as partial:
            partial.mkdir()
            (partial / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.rglob("*")) == []


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    final = tmp_path / "store" / "a"
    stale = tmp_path / ".store.partial" / "a" / "a"
    stale.mkdir(parents=True)
    (stale / "half").touch()
    sweep(final.parent)  # keeps what may still be being written
    assert stale.exists()
    with partial_path(final) as partial:
        assert partial == stale
        assert not partial.exists()
    assert list(tmp_path.iterdir()) == []


def test_partials_follow_a_store_that_is_a_link(tmp_path: Path) -> None:
    """A store on another disk, linked into the workspace: a rename must stay on that disk."""
    (tmp_path / "disk" / "store").mkdir(parents=True)
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "store").symlink_to(tmp_path / "disk" / "store")
    with partial_path(tmp_path / "workspace" / "store" / "a") as partial:
        assert (tmp_path / "disk").resolve() in partial.parents


def write_many(store: Path, name: str, times: int) -> None:
    for _ in range(times):
        with partial_path(store / name) as partial:
            partial.write_text(name)
            commit(partial, store / name)


@pytest.mark.processes
def test_writers_beside_one_another_do_not_disturb(tmp_path: Path) -> None:
    """Each removes the folder of partial files if it is empty; none may lose its own by that."""
    store = tmp_path / "store"
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write_many, store, name, 300) for name in "abcd"]
        for future in done:
            future.result()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_lock_is_exclusive_and_released(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a"
    with lock(path, wait=False), pytest.raises(LockedError), lock(path, wait=False):
        pass
    with lock(path, wait=False):
        pass


def test_a_lock_that_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "locks" / "a"
    with lock(path, wait=False, keep=False), lock(path.with_name("b"), wait=False):
        pass
    assert [file.name for file in path.parent.iterdir()] == ["b"]
    with lock(tmp_path / "other" / "locks" / "a", wait=False, keep=False):
        assert (tmp_path / "other").is_dir()
    assert not (tmp_path / "other").exists()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the one who held it leaves between the opening and the locking."""
    path, calls, real = tmp_path / "locks" / "a", [], fcntl.flock

    def flock(file: TextIOWrapper, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            shutil.rmtree(path.parent)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock(path, wait=False):
        assert len(calls) == 2
        with pytest.raises(LockedError), lock(path, wait=False):
            pass


def test_a_folder_that_is_swept_while_it_is_looked_at_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mkdir` finds the hidden folder there, a neighbour removes it, and it is no folder any more."""
    real, hidden, swept = os.mkdir, tmp_path / ".store.partial", []

    def mkdir(path: Path, mode: int = 0o777) -> None:
        if Path(path) == hidden and not swept:
            swept.append(path)
            raise FileExistsError(17, "File exists", str(path))
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with partial_path(tmp_path / "store" / "a") as partial:
        assert partial.parent.is_dir()
    assert swept


def test_a_file_in_the_way_of_partial_files_is_said(tmp_path: Path) -> None:
    (tmp_path / ".store.partial").write_text("")
    with pytest.raises(OSError, match=r"\.store\.partial"), partial_path(tmp_path / "store" / "a"):
        pass
