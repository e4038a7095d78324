"""Writing so that nothing half-written is ever seen: beside and renamed, one writer a scene."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from cache.card import JsonDict, OtherConfigurationError, differences


class LockedError(OSError):
    """Another process is writing the scene."""


@contextmanager
def partial_path(final: Path) -> Iterator[Path]:
    """Give a path on the same disk as `final` to write to, and remove it if it was not committed.

    It lies in a hidden folder beside `final`'s own folder, so that a listing of that folder (a Zarr
    group, a data set of Parquet files) never shows it. What a killed run left there is removed.
    """
    # A folder of its own, so that a neighbour's sweep never takes the ground from under it.
    own = _partials_of(final.parent) / final.name
    remove(own)
    _make_folder(own)
    try:
        yield own / final.name
    finally:
        remove(own)
        sweep(final.parent)


def sweep(folder: Path) -> None:
    """Remove the hidden folder of partial files beside `folder`, if it is there and empty."""
    try:
        _partials_of(folder).rmdir()
    except OSError:  # none there, or another scene is being written
        return


def _make_folder(path: Path) -> None:
    while True:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError):
            # Its empty parent was swept in between, perhaps after mkdir had found it there.
            if any(part.exists() and not part.is_dir() for part in (path, *path.parents)):
                raise
            continue
        return


def _partials_of(folder: Path) -> Path:
    real = folder.resolve()
    return real.with_name(f".{real.name}.partial")


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
def lock(path: Path, *, wait: bool, keep: bool = True) -> Iterator[None]:
    """Hold a file lock, which the system releases when the process ends, however it ends.

    If it is not to be kept, its file and the folders that were made for it are removed at the end,
    as far as they are empty. Raises LockedError if another process holds it and `wait` is false.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    with _locked(path, wait):
        try:
            yield
        finally:
            if not keep:
                path.unlink(missing_ok=True)
                _remove_empty(dict.fromkeys([path.parent, *made]))


def _locked(path: Path, wait: bool) -> TextIOWrapper:
    while True:
        _make_folder(path.parent)
        try:
            file = open(path, "a")  # noqa: SIM115  (the caller's context closes it)
        except FileNotFoundError:  # its folder was removed in between
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            raise LockedError(f"{path}: another process holds this lock") from None
        with suppress(FileNotFoundError):  # removed by the one who held it, it keeps nobody out
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, until one is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def claim(path: Path, config: JsonDict) -> AbstractContextManager[object]:
    """Say that a run with `config` is writing, until the returned context ends.

    Several runs may hold a claim at once if their configurations are equal; otherwise it raises
    OtherConfigurationError. Call it under a lock, so that two runs do not claim at the same moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+")  # noqa: SIM115  (the caller's context closes it)
    try:
        _take_claim(file, config)
    except BaseException:
        file.close()
        raise
    return file


def _take_claim(file: TextIOWrapper, config: JsonDict) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        if changes := differences(json.load(file), config):
            raise OtherConfigurationError(
                f"{file.name}: another run is writing here now, with another configuration: "
                f"{'; '.join(changes)}. Wait for it, or use another --workspace"
            ) from None
    else:  # nobody else is writing
        file.truncate(0)
        json.dump(config, file)
        file.flush()
    fcntl.flock(file, fcntl.LOCK_SH)
