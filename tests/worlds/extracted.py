"""The recordings of the tests, extracted."""

import hashlib
from pathlib import Path

from stages.precompute.recordings import extract
from stages.precompute.recordings.extract import ExtractReport
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.sources.scannet_layout import find_scenes

CONFIG = ExtractConfig(stride_frames=5, points_per_frame=2048)


def run(root: Path, out: Path, config: ExtractConfig = CONFIG, **options: object) -> ExtractReport:
    """Extract a ScanNet folder into another."""
    scenes = options.pop("scenes", None) or find_scenes(root, config.splits).scenes
    return extract.run(
        config, scenes=scenes, frames=out / "frames", points=out / "points.zarr", **options
    )


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder, locks left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }
