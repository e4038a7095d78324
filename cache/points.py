"""`points.zarr/<scene>`: the points of one scene's kept frames, (F, P, 3) int16 millimetres.

Camera frame in OpenCV's convention: x right, y down, z forward. Axis 0 is the manifest's `row`. A
frame with fewer than P valid pixels stores each of them once, then repeats some of them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from cache.arrays import read_whole
from cache.card import Card, CardError
from cache.scene_group import CARD_KEY, Member, create_group, find_member

SCHEMA_VERSION = 1
FRAMES_PER_CHUNK = 16
SCALE_M = 1e-3
# What int16 millimetres can hold, with room for rounding.
MAX_COORDINATE_M = 32.7
MAX_POINTS_PER_FRAME = 1_000_000  # a chunk of 16 such frames is 96 MB


def _attributes() -> dict[str, Any]:
    # A new one each time: Zarr keeps what it is given, and adds to it.
    return {
        "unit": "millimetre",
        "scale_to_metres": SCALE_M,
        "frame": "camera (OpenCV): x right, y down, z forward",
    }


def to_millimetres(points: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    """Round metres to int16 millimetres, any shape. Raises ValueError rather than wrap."""
    millimetres: NDArray[np.floating[Any]] = np.rint(points / SCALE_M)
    limit = np.iinfo(np.int16).max
    if not (np.abs(millimetres) <= limit).all():
        raise ValueError(f"a coordinate is beyond {limit} mm or not finite; lower max_depth_m")
    return millimetres.astype(np.int16)


class PointsWriter:
    """Writes one scene's frames as they come, a chunk of them in memory at a time."""

    def __init__(self, path: Path, *, points_per_frame: int, max_frames: int) -> None:
        self._array = zarr.create_array(
            path,
            shape=(max_frames, points_per_frame, 3),
            chunks=(FRAMES_PER_CHUNK, points_per_frame, 3),
            dtype="int16",
            compressors=[
                BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", typesize=2),
                Crc32cCodec(),
            ],
            attributes=_attributes(),
            dimension_names=["frame", "point", "xyz"],
        )
        self._block = np.zeros((FRAMES_PER_CHUNK, points_per_frame, 3), np.int16)
        self.num_frames = 0

    def append(self, points: NDArray[np.floating[Any]]) -> None:
        """Add one frame's points, (P, 3) metres."""
        self._block[self.num_frames % FRAMES_PER_CHUNK] = to_millimetres(points)
        self.num_frames += 1
        if self.num_frames % FRAMES_PER_CHUNK == 0:
            self._write_chunk(FRAMES_PER_CHUNK)

    def finish(self, card: Card) -> None:
        """Write what is left, cut the array to the frames that came, and add the card."""
        self._write_chunk(self.num_frames % FRAMES_PER_CHUNK)
        self._array.resize((self.num_frames, *self._array.shape[1:]))
        self._array.update_attributes({CARD_KEY: card.to_dict()})

    def _write_chunk(self, num_frames: int) -> None:
        if num_frames:
            end = self.num_frames
            self._array[end - num_frames : end] = self._block[:num_frames]


def create_store(store: Path) -> None:
    """Make `store` the group of all scenes if it is none yet. Hold a lock."""
    create_group(store, _attributes())


def read_points(store: Path, scene_id: str, member: Member | None = None) -> NDArray[np.int16]:
    """Return one scene's points, (F, P, 3) int16 millimetres; checksums are verified.

    `member` is the scene, if it was read already. Raises CardError if they are not there, not whole,
    or damaged.
    """
    path = store / scene_id
    member = member or find_member(store, scene_id)
    if member is None:
        raise CardError(f"{path} is missing or incomplete; run extract again")
    shape, dtype = tuple(member.metadata.get("shape", ())), member.metadata.get("data_type")
    if len(shape) != 3 or shape[2] != 3 or dtype != "int16":
        raise CardError(f"{path}: expected (F, P, 3) int16, found {shape} {dtype}")
    return read_whole(path, f"; delete {path} and run extract again", member.metadata)


def points_per_frame(member: Member) -> int:
    """How many points a scene's frames have, without reading them."""
    return int(member.metadata["shape"][1])
