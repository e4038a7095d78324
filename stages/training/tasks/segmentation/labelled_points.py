"""Which vertices of a scan have a label: lists of ScanNet's Data Efficient benchmark, and draws like them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cache.card import fingerprint
from stages.training.weights.first_weights import why_unread

# What makes numpy's arrays out of bytes; by its name, which is numpy's own affair.
_RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
_PLAIN: list[Any] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("int32", "int64", "float32", "float64")),
    *((_RECONSTRUCT, f"{module}.multiarray._reconstruct") for module in ("numpy.core", "numpy._core")),
]  # fmt: skip


def read_labelled_points(path: Path) -> dict[str, NDArray[np.int64]]:
    """Numbers of vertices by scene, of a file of torch with a dictionary of them.

    So are `tasks/points/points20` and its like of the ScanNet Data Efficient benchmark laid out (as read by
    facebookresearch/ContrastiveSceneContexts and Pointcept/Pointcept). Code in a file is never run. Raises
    ValueError if it is something else.
    """
    try:
        with torch.serialization.safe_globals(_PLAIN):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path}: cannot be read as a list of points: {why_unread(error)}"
        ) from None
    if not isinstance(found, Mapping) or not found:
        raise ValueError(f"{path}: expected numbers of vertices by scene, found {_kind(found)}")
    return {str(name): _numbers(values, f"{path}: {name}") for name, values in found.items()}


def list_fingerprint(path: Path) -> str:
    """Tell lists apart, by their numbers. Raises ValueError."""
    return fingerprint({name: own.tolist() for name, own in read_labelled_points(path).items()})


def kept(numbers: NDArray[np.int64], count: int, where: str) -> NDArray[np.bool_]:
    """Which of so many vertices (V,) are numbered. Raises ValueError if one is not there."""
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise ValueError(
            f"{where}: numbers vertices from {numbers.min()} to {numbers.max()}, the scan has {count}: the "
            "list is of other meshes"
        )
    mask = np.zeros(count, bool)
    mask[numbers] = True
    return mask


def _numbers(values: Any, where: str) -> NDArray[np.int64]:
    found = np.asarray(values)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ValueError(f"{where}: expected whole numbers in a row, found {_kind(values)}")
    return found.astype(np.int64)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {value.shape}"
    return "nothing" if isinstance(value, Mapping) else f"a {type(value).__name__}"
