"""Writing so that nothing half-written is ever seen: beside and renamed, one writer a scene."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockedError(OSError):
    """Another process is writing the scene."""


@contextmanager
def partial_path(final: Path) -> Iterator[Path]:
    """Give a path on the same disk as `final` to write to, and remove it if it was not committed.

    It lies in a hidden folder beside `final`'s own folder, so that a listing of that folder (a Zarr
    group, a data set of Parquet files) never shows it. What a killed run left there is removed.
    """
    folder = final.parent.resolve()
    holder = folder.with_name(f".{folder.name}.partial")
    partial = holder / final.name
    remove(partial)
    holder.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
    finally:
        remove(partial)
        # Another scene may still be written there.
        if not any(holder.iterdir()):
            _remove_empty(holder)


def commit(partial: Path, final: Path) -> None:
    """Rename a finished file or folder into place, instead of what is there."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if partial.is_dir():
        remove(final)
    os.replace(partial, final)


def remove(path: Path) -> None:
    """Delete a file or a folder, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def lock(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a file lock, which the system releases when the process ends, however it ends.

    Raises LockedError if another process holds it and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise LockedError(f"{path}: another process holds this lock") from None
        yield


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # a neighbour came in between
        return
