"""Features of clouds in files, written to one file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor

from cache.commit import commit, partial_path
from stages.sharing.clouds import read_cloud
from stages.sharing.student import Features, LoadedStudent


def run(
    student: LoadedStudent,
    files: Sequence[str],
    *,
    out: Path,
    seed: int = 0,
    looked_at: Callable[[str, NDArray[np.float32], Features], None] = lambda *_: None,
) -> Path:
    """Embed each file's cloud and write `out`, whole or not at all.

    `.npy` has a row for each file, the feature of the whole cloud (2 C); `.safetensors` has of each
    file `NAME/patches`, `/centers`, `/points`, `/cloud`, and `/prefix` if the student has a head, where
    `/points` belongs to the cloud's points in the order of `/xyz`. `looked_at` is told each. Raises
    ValueError naming the file that cannot be read or looked at.
    """
    rows: list[NDArray[np.float32]] = []
    arrays: dict[str, NDArray[np.float32]] = {}
    for file, name in zip(files, names_of(files), strict=True):
        cloud = read_cloud(file, seed=seed)
        try:
            found = student(cloud, seed=seed)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        looked_at(name, cloud, found)
        rows.append(_array(found.cloud))
        if out.suffix == ".safetensors":
            arrays |= {f"{name}/{key}": value for key, value in _all_of(cloud, found).items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with partial_path(out) as partial:
        if out.suffix == ".safetensors":
            save_file(arrays, partial)
        else:
            with open(partial, "wb") as opened:
                np.save(opened, np.stack(rows))
        commit(partial, out)
    return out


def names_of(files: Sequence[str]) -> list[str]:
    """Names by which files are told apart: without their folders, unless two are called the same."""
    short = [Path(file).name for file in files]
    return [
        name if short.count(name) == 1 else str(file)
        for file, name in zip(files, short, strict=True)
    ]


def _all_of(cloud: NDArray[np.float32], found: Features) -> Mapping[str, NDArray[np.float32]]:
    values = {key: _array(value) for key, value in vars(found).items() if value is not None}
    return {"xyz": cloud, **values}


def _array(value: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(value.float().cpu().numpy())
