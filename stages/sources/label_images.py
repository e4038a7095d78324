"""Which object each pixel of a ScanNet frame shows: `<scene>_2d-label-filt.zip`, or the unfiltered one.

In it `label-filt/<frame>.png` (or `label/...`), 16 bits a pixel: the `id` of ScanNet's label table, 0 without one.
"""

import csv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

# Of a scene's folder: the archive's end, and the folder in it; the first that is there counts.
ARCHIVES = (("_2d-label-filt.zip", "label-filt"), ("_2d-label.zip", "label"))


def find_archive(folder: Path) -> Path | None:
    """A scene's label images, None if it has none."""
    files = (folder / f"{folder.name}{end}" for end, _ in ARCHIVES)
    return next((file for file in files if file.is_file()), None)


def read_ids(path: Path) -> dict[int, tuple[str, int]]:
    """Of ScanNet's label table: each id's raw category and its NYU-40 class. Raises ValueError."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            return {int(row["id"]): (row["raw_category"], int(row["nyu40id"] or 0)) for row in rows}
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{path}: expected columns id, raw_category and nyu40id: {error!r}"
        ) from None


def label_images(archive: Path, frames: Iterable[int]) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Yield numbers of frames and their (H, W) ids. Raises ValueError naming what is missing or damaged."""
    inner = next(folder for end, folder in ARCHIVES if archive.name.endswith(end))
    try:
        with zipfile.ZipFile(archive) as opened:
            for frame in frames:
                yield (
                    frame,
                    _decoded(opened.read(f"{inner}/{frame}.png"), f"{archive}: frame {frame}"),
                )
    except KeyError as error:
        raise ValueError(f"{archive}: {error.args[0]}: the recording has this frame") from None
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{archive}: cannot be read: {error}; download it again") from None


def _decoded(encoded: bytes, where: str) -> NDArray[np.uint16]:
    image = (
        cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED) if encoded else None
    )
    if image is None or image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{where}: expected a PNG of whole numbers, one a pixel; download it again"
        )
    return image.astype(np.uint16)
