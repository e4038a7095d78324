"""Folders of RGB-D frames, as people record them, packed into one `.sens`.

Layouts are told apart by what lies in the folder, a module of `rgbd_layouts` for each:

- `seven_scenes`: `frame-000000.{color.jpg,depth.png,pose.txt}`; ScanNet's `sens` tool, 3RScan too;
- `tum`: `rgb.txt depth.txt groundtruth.txt` naming files by time in seconds;
- `color_and_depth`: folders `color/` or `rgb/` and `depth/`; ScanNet's exporter, Open3D, others.

Depth images are 16-bit PNG, PGM or TIFF, poses camera-to-world in metres.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.sources.images import image_size
from stages.sources.rgbd_layouts.color_and_depth import find_color_and_depth, is_color_and_depth
from stages.sources.rgbd_layouts.found import RgbdFolder
from stages.sources.rgbd_layouts.seven_scenes import find_seven_scenes, is_seven_scenes
from stages.sources.rgbd_layouts.tum import find_tum, is_tum
from stages.sources.sens_format import Matrix, SensHeader
from stages.sources.sens_writer import RgbdFrame, write_sens

NO_MEASUREMENT = 65_535
FRAME_INTERVAL_US = 33_333  # invented timestamps where a recording has none: 30 frames a second


def find_frames(folder: Path) -> RgbdFolder:
    """Recognise a folder's layout and list its frames. Raises ValueError if there are none."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    if is_seven_scenes(folder):
        found = find_seven_scenes(folder)
    elif is_tum(folder):  # before the next: it has such folders too
        found = find_tum(folder)
    elif is_color_and_depth(folder):
        found = find_color_and_depth(folder)
    else:
        there = sorted(f"{p.name}/" if p.is_dir() else p.name for p in folder.iterdir())
        raise ValueError(
            f"{folder}: no known RGB-D layout: expected frame-*.depth.png or .pgm (7-Scenes), folders "
            "color/ or rgb/ and depth/ (ScanNet's exporter, Open3D), or rgb.txt and depth.txt (TUM); "
            f"found {', '.join(there[:5]) or 'nothing'}{', ...' if len(there) > 5 else ''}"
        )
    if not found.frames:
        raise ValueError(f"{folder}: {found.layout} layout, but no frame has both colour and depth")
    return found


def pack_folder(
    found: RgbdFolder,
    out: Path,
    *,
    depth_intrinsics: Matrix,
    color_intrinsics: Matrix | None,
    depth_shift: float,
    sensor_name: str,
) -> int:
    """Write the frames to a `.sens`; colour bytes stay as they are, depth 65535 becomes 0.

    Without `color_intrinsics` the depth camera's are taken. Returns the number of frames. Raises
    ValueError naming the file that cannot be used; then nothing is written.
    """
    first = found.frames[0]
    depth_height, depth_width = _read_depth(first.depth).shape
    color_size = _color_size(first.color)
    if color_intrinsics is None and color_size != (depth_width, depth_height):
        raise ValueError(
            f"colour is {color_size[0]} x {color_size[1]}, depth {depth_width} x {depth_height}, and "
            "only the depth camera's intrinsics are known; give --color-intrinsics FX,FY,CX,CY"
        )
    depth_to_color = found.cameras.depth_to_color
    header = SensHeader(
        sensor_name=sensor_name,
        color_intrinsics=depth_intrinsics if color_intrinsics is None else color_intrinsics,
        color_extrinsics=np.eye(4, dtype=np.float32),
        depth_intrinsics=depth_intrinsics,
        depth_extrinsics=np.eye(4, dtype=np.float32) if depth_to_color is None else depth_to_color,
        color_compression="png" if first.color.suffix.lower() == ".png" else "jpeg",
        depth_compression="zlib_ushort",
        color_size=color_size,
        depth_size=(depth_width, depth_height),
        depth_shift=depth_shift,
        num_frames=0,
    )
    with write_sens(out, header) as writer:
        for index, frame in enumerate(found.frames):
            time_us = index * FRAME_INTERVAL_US if frame.time_us is None else frame.time_us
            color, depth = _read(frame.color), _read_depth(frame.depth)
            try:
                writer.append(RgbdFrame(color, depth, frame.pose, time_us, time_us))
            except ValueError as error:
                raise ValueError(f"{frame.color}, {frame.depth}: {error}") from None
    return len(found.frames)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"{path}: no such file, though a list names it")
    return path.read_bytes()


def _read_depth(path: Path) -> NDArray[np.uint16]:
    encoded = np.frombuffer(_read(path), np.uint8)
    depth = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if len(encoded) else None
    if depth is None or depth.ndim != 2 or depth.dtype != np.uint16:
        what = "not an image" if depth is None else f"{depth.dtype} {depth.shape}"
        raise ValueError(f"{path}: expected a 16-bit grey image of depth, found {what}")
    cleaned: NDArray[np.uint16] = np.where(depth == NO_MEASUREMENT, 0, depth).astype(np.uint16)
    return cleaned


def _color_size(path: Path) -> tuple[int, int]:
    try:
        return image_size(_read(path))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if str(path) in message else f"{path}: {message}") from None
