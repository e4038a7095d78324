"""A workspace in which everything is prepared, and one short configuration for all of it."""

from pathlib import Path

from cache.prefixes import compute_statistics, write_statistics
from cache.scene_group import list_scenes
from tests.worlds.objects import YAML as OBJECTS_YAML
from tests.worlds.objects import prepare_boxes
from tests.worlds.pairs import SMALL_YAML, write_world
from tests.worlds.scans import prepare_golden_scans

SCANS_YAML = """
segmentation:
  name: a
  num_points: 256
  encoder: {width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 24, patch_size: 8}
  head_widths: [16, 16]
  test_draws: 1
  vote_rounds: 1
  training: {epochs: 1, batch: 2, optimizer: adam, lr: 0.003, warmup_epochs: 0, precision: fp32}
detection:
  name: a
  num_points: 512
  cuboid_min_points: 256
  encoder: {width: 24, depth: 2, num_heads: 2, patch_hidden: 8, num_patches: 32, patch_size: 8}
  decoder_width: 32
  decoder_layers: 2
  num_queries: 16
  test_draws: 1
  training: {epochs: 1, batch: 2, lr: 0.001, warmup_epochs: 0, precision: fp32}
"""


def prepare_everything(root: Path) -> None:
    """Frames with prefixes, both object sets, scans, and `small.yaml` with an epoch of each task."""
    write_world(root, train=3, val=1)
    store = root / "teacher" / "t.zarr"
    write_statistics(store / "statistics", compute_statistics(store, list_scenes(store)))
    prepare_boxes(root)
    prepare_golden_scans(root)
    yaml = SMALL_YAML + OBJECTS_YAML + SCANS_YAML
    for given, short in (("epochs: 8", "epochs: 1"), ("epochs: 4", "epochs: 1")):
        yaml = yaml.replace(given, short)
    (root / "small.yaml").write_text(yaml.replace("warmup_epochs: 1", "warmup_epochs: 0"))
