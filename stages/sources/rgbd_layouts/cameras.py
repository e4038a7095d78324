"""Files of camera intrinsics that lie in folders of RGB-D frames.

- `intrinsic/intrinsic_{depth,color}.txt`, `intrinsic/extrinsic_depth.txt`: ScanNet's exporter;
- `_info.txt` with `m_calibrationDepthIntrinsic = ...`: ScanNet's and BundleFusion's `sens` tool, 3RScan;
- any JSON with `intrinsic_matrix`, nine numbers column by column: Open3D, one camera for both images;
- `camera-intrinsics.txt`: the depth camera's matrix.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.sources.sens_format import Matrix
from stages.sources.sens_writer import intrinsic_matrix

INFO_FILES = ("_info.txt", "info.txt")


@dataclass(frozen=True)
class Cameras:
    """Intrinsics (4, 4) in pixels, None if not known; `depth_to_color` (4, 4); where they are from."""

    depth: Matrix | None = None
    color: Matrix | None = None
    depth_to_color: Matrix | None = None
    depth_shift: float | None = None  # depth units per metre, if it is stated
    files: tuple[Path, ...] = ()


def find_cameras(folder: Path) -> Cameras:
    """Read what a folder says of its cameras. Raises ValueError naming a bad file."""
    for find in (_scannet_exporter, _info, _open3d):
        if found := find(folder):
            return found
    file = folder / "camera-intrinsics.txt"
    return Cameras(depth=_read_intrinsics(file), files=(file,)) if file.is_file() else Cameras()


def _scannet_exporter(folder: Path) -> Cameras | None:
    inner = folder / "intrinsic"
    files = [inner / f"{name}.txt" for name in ("intrinsic_depth", "intrinsic_color")]
    extrinsic = inner / "extrinsic_depth.txt"
    there = tuple(file for file in (*files, extrinsic) if file.is_file())
    if not there:
        return None
    depth, color = (_read_intrinsics(file) if file in there else None for file in files)
    return Cameras(
        depth, color, read_matrix(extrinsic) if extrinsic in there else None, files=there
    )


def _info(folder: Path) -> Cameras | None:
    for file in (folder / name for name in INFO_FILES):
        text = file.read_text(errors="replace") if file.is_file() else ""
        pairs = (line.partition("=")[::2] for line in text.splitlines())
        stated = {key.strip(): value.split() for key, value in pairs}
        if "m_calibrationDepthIntrinsic" in stated:
            try:
                return _stated_cameras(stated, file)
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from None
    return None


def _stated_cameras(stated: dict[str, list[str]], file: Path) -> Cameras:
    def matrix(key: str) -> Matrix | None:
        words = stated.get(f"m_calibration{key}")
        if words is None:
            return None
        if len(words) != 16:
            raise ValueError(f"m_calibration{key}: expected 16 numbers, found {len(words)}")
        return np.array(words, np.float32).reshape(4, 4)

    depth, color = matrix("DepthIntrinsic"), matrix("ColorIntrinsic")
    shift = stated.get("m_depthShift")
    return Cameras(
        None if depth is None else _pinhole(depth),
        None if color is None else _pinhole(color),
        matrix("DepthExtrinsic"),
        float(shift[0]) if shift else None,
        (file,),
    )


def _open3d(folder: Path) -> Cameras | None:
    for file in sorted(folder.glob("*.json")):
        numbers = read_json(file).get("intrinsic_matrix")
        if numbers is not None:
            matrix = _pinhole(column_by_column(numbers, 3, f"{file}: intrinsic_matrix"), str(file))
            return Cameras(matrix, matrix, files=(file,))
    return None


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object; {} if the file is anything else, for other programs leave JSON too."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def column_by_column(numbers: object, side: int, where: str) -> Matrix:
    """Make a (side, side) matrix of a list as Open3D writes it. Raises ValueError naming `where`."""
    try:
        columns = np.array(numbers, np.float32).reshape(side, side)
    except (ValueError, TypeError):
        raise ValueError(
            f"{where}: expected {side * side} numbers, a column after the other"
        ) from None
    return columns.T


def read_matrix(path: Path) -> Matrix:
    """Read (4, 4) numbers, a row a line. Raises ValueError naming the file."""
    return _read_numbers(path, [(4, 4)])


def _read_intrinsics(path: Path) -> Matrix:
    """Read a (3, 3) or (4, 4) pinhole matrix as (4, 4)."""
    return _pinhole(_read_numbers(path, [(3, 3), (4, 4)]), str(path))


def _pinhole(matrix: Matrix, where: str = "") -> Matrix:
    try:
        return intrinsic_matrix(*matrix[[0, 1, 0, 1], [0, 1, 2, 2]].tolist())
    except ValueError as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from None


def _read_numbers(path: Path, shapes: Sequence[tuple[int, int]]) -> Matrix:
    expected = " or ".join(f"{rows} rows of {columns} numbers" for rows, columns in shapes)
    rows = [line.split() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    if (len(rows), len(rows[0]) if rows else 0) not in shapes or len({*map(len, rows)}) != 1:
        raise ValueError(f"{path}: expected {expected}, found {len(rows)} rows")
    try:
        return np.array([[float(word) for word in row] for row in rows], np.float32)
    except ValueError as error:
        raise ValueError(f"{path}: expected {expected}: {error}") from None
