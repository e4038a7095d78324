"""What lies in a workspace, to look at from a notebook or a script; nothing is written."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cache.frames import KEPT, frames_path, read_frames
from cache.points import SCALE_M, read_points
from cache.prefixes import PREFIX, read_array
from cache.runs import read_result
from cache.scene_group import Listing
from cache.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OpenWorkspace:
    """A workspace on disk; `paths` names where each artifact lies."""

    paths: Workspace

    @cached_property
    def _points(self) -> Listing:
        return Listing.read(self.paths.points)

    @property
    def scenes(self) -> list[str]:
        """Ids of the extracted scenes."""
        return list(self._points.members)

    @property
    def teachers(self) -> list[str]:
        """Names of the stores of prefixes."""
        return sorted(path.stem for path in self.paths.root.glob("teacher/*.zarr"))

    @property
    def students(self) -> list[str]:
        """Names of the pre-trainings."""
        return sorted(path.name for path in self.paths.all_pretrained.glob("[!.]*"))

    def frames(self, scene: str) -> "pd.DataFrame":
        """One row for each kept frame, in the order of `points` and `prefixes`; without the images."""
        table = read_frames(frames_path(self.paths.frames, scene)).to_pandas()
        return table[table["status"] == KEPT].sort_values("row").reset_index(drop=True)

    def points(self, scene: str) -> NDArray[np.float32]:
        """Points (F, P, 3) of the kept frames, metres of the camera: x right, y down, z forward."""
        stored = read_points(self.paths.points, scene, self._points.members.get(scene))
        return stored.astype(np.float32) * np.float32(SCALE_M)

    def prefixes(self, scene: str, teacher: str) -> NDArray[np.float16]:
        """What a teacher says of the kept frames, (F, L, D)."""
        return read_array(self.paths.prefixes(teacher), scene, PREFIX)

    def result(self, student: str) -> dict[str, Any] | None:
        """What a pre-training came to, None if it is not finished."""
        return read_result(self.paths.pretrained(student))


def open_workspace(path: str | Path) -> OpenWorkspace:
    """Open a workspace. Raises ValueError if there is no such folder."""
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; distill3d's commands make it")
    return OpenWorkspace(Workspace(root))
