"""Clouds from files of many kinds, as points in the file's own units: metres, if it has any."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
SURFACE_POINTS = 16_384  # drawn of a mesh, whose vertices lie unevenly; as many as of a frame
KINDS = (
    ".npy, .ply, .off, .obj, .stl, .glb, .las, .laz, .pcd, or a frame of a .sens as FILE.sens:25"
)
_MESHES = (".ply", ".obj", ".stl", ".glb", ".gltf", ".dae")


def read_cloud(source: str | Path, *, seed: int = 0) -> Points:
    """Read a cloud: points (P, 3) float32, in the units and the frame of the file.

    Of a mesh, 16,384 points are drawn evenly from its surface by the seed; of a mesh without faces,
    its vertices. `FILE.sens:25` is frame 25 of a recording, back-projected to metres of the camera.
    Points that are not finite are left out. Raises ValueError naming the file if it cannot be read, or
    has no point; ImportError if its kind needs a package that is not installed.
    """
    name, index = _frame_of(str(source))
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    points = np.asarray(_read(path, index, np.random.default_rng(seed)))
    if points.ndim != 2 or points.shape[1] < 3:
        raise ValueError(f"{source}: expected points (P, 3), found {points.shape}")
    points = points[:, :3].astype(np.float32)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise ValueError(f"{source}: no point in it")
    return points


def _frame_of(source: str) -> tuple[str, int | None]:
    name, colon, index = source.rpartition(":")
    if colon and name.lower().endswith(".sens") and index.isdecimal():
        return name, int(index)
    return source, None


def _read(path: Path, index: int | None, generator: np.random.Generator) -> NDArray[Any]:
    match path.suffix.lower():
        case ".npy":
            return _read_npy(path)
        case ".off":  # ModelNet's has a first line that other readers do not take
            from stages.sources.off_mesh import read_off

            return _surface(*read_off(path), path, generator)
        case suffix if suffix in _MESHES:
            return _read_mesh(path, generator)
        case ".las" | ".laz":
            return _read_las(path)
        case ".pcd":
            return _read_pcd(path)
        case ".sens":
            if index is None:
                raise ValueError(f"{path}: which frame? Name one as {path}:0")
            return _read_frame(path, index)
        case other:
            raise ValueError(f"{path}: {other or 'no suffix'}: not a known kind; known are {KINDS}")


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not an array of numbers: {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected an array of numbers, (P, 3)")
    return values


def _read_mesh(path: Path, generator: np.random.Generator) -> NDArray[Any]:
    trimesh = _needed("trimesh", "clouds")
    try:
        found = trimesh.load(path, process=False)
        if isinstance(found, trimesh.Scene):
            found = found.to_geometry()
        vertices = np.asarray(found.vertices, np.float64)
        faces = np.asarray(getattr(found, "faces", np.zeros((0, 3))), np.int64)
    except Exception as error:  # each of its readers has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as {path.suffix[1:]}: {reason}") from None
    return _surface(vertices, faces, path, generator) if len(faces) else vertices


def _surface(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    path: Path,
    generator: np.random.Generator,
) -> NDArray[Any]:
    from stages.sources.off_mesh import sample_surface

    try:
        return sample_surface(vertices, faces, SURFACE_POINTS, generator)[0]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: {error}") from None


def _read_las(path: Path) -> NDArray[Any]:
    laspy = _needed("laspy", "clouds")
    try:
        return np.asarray(laspy.read(path).xyz)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as LAS: {reason}") from None


def _read_pcd(path: Path) -> NDArray[Any]:
    pypcd4 = _needed("pypcd4", "clouds")
    try:
        return np.asarray(pypcd4.PointCloud.from_path(path).numpy(("x", "y", "z")))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as PCD: {reason}") from None


def _read_frame(path: Path, index: int) -> NDArray[Any]:
    from cache.points import MAX_COORDINATE_M
    from stages.precompute.recordings.backproject import back_project, depth_limit
    from stages.precompute.recordings.extract_scene import ExtractConfig
    from stages.sources.sens import SensReader, decode_depth

    with SensReader(path) as sens:
        header = sens.header
        frame = next((frame for frame in sens.walk() if frame.index == index), None)
        if frame is None:
            raise ValueError(f"{path}: has no frame {index}, it has {header.num_frames} from 0 on")
        depth = decode_depth(sens.payload(frame)[1], header)
    intrinsics = header.depth_intrinsics[:3, :3].astype(np.float64)
    limit = depth_limit(
        intrinsics, header.depth_size, depth_shift=header.depth_shift,
        max_depth_m=ExtractConfig().max_depth_m, max_coordinate_m=MAX_COORDINATE_M,
    )  # fmt: skip
    return back_project(depth * (depth <= limit), intrinsics, depth_shift=header.depth_shift)


def _needed(package: str, extra: str) -> Any:
    """Import an optional package. Raises ModuleNotFoundError, which names it and its extra."""
    from importlib import import_module

    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f"the package {package} is not installed here; from the checkout: "
            f"pip install -e '.[{extra}]'",
            name=package,
        ) from None
