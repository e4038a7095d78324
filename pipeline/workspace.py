"""The name of every artifact's path, once. Everything a run leaves lies under one folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Paths under one root folder."""

    root: Path

    @property
    def sample(self) -> Path:
        """The sample world: `recordings/` and `scans/`, each laid out as ScanNet's release."""
        return self.root / "sample"

    @property
    def captions(self) -> Path:
        """Pairs of an image and a sentence about it."""
        return self.root / "captions.parquet"

    @property
    def frames(self) -> Path:
        """Manifests, one Parquet file a scene."""
        return self.root / "frames"

    @property
    def points(self) -> Path:
        """Points of all scenes, one Zarr group."""
        return self.root / "points.zarr"

    @property
    def figures(self) -> Path:
        """Pictures for people."""
        return self.root / "report" / "figures"
