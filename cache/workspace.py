"""The name of every artifact's path, once. Everything a run leaves lies under one folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Paths under one root folder."""

    root: Path

    @property
    def sample(self) -> Path:
        """The sample world."""
        return self.root / "sample"

    @property
    def sample_scans(self) -> Path:
        """The sample's annotated meshes, laid out as ScanNet's release."""
        return self.sample / "scans"

    @property
    def sample_modelnet40(self) -> Path:
        """The sample's objects in ModelNet40's layout."""
        return self.sample / "modelnet40_normal_resampled"

    @property
    def sample_shapenetpart(self) -> Path:
        """The sample's objects in ShapeNetPart's layout."""
        return self.sample / "shapenetcore_partanno_segmentation_benchmark_v0_normal"

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
    def frame_labels(self) -> Path:
        """Which objects the kept frames show."""
        return self.root / "labels.parquet"

    def teacher(self, name: str) -> Path:
        """A teacher that teacher-train made."""
        return self.root / "teacher" / name

    def prefixes(self, name: str) -> Path:
        """What a teacher says of all frames, one Zarr group."""
        return self.root / "teacher" / f"{name}.zarr"

    def pretrained(self, name: str) -> Path:
        """A pre-training's folder."""
        return self.all_pretrained / name

    @property
    def all_pretrained(self) -> Path:
        """All pre-trainings."""
        return self.root / "pretrain"

    @property
    def all_objects(self) -> Path:
        """All prepared object data sets."""
        return self.root / "objects"

    @property
    def all_scans(self) -> Path:
        """All prepared scene data sets."""
        return self.root / "scans"

    def scans(self, name: str) -> Path:
        """A prepared scene data set, one Zarr group."""
        return self.all_scans / f"{name}.zarr"

    @property
    def earlier_scans(self) -> Path:
        """Where version 0.1 kept ScanNet's scans, without their classes."""
        return self.root / "scans.zarr"

    def objects(self, name: str) -> Path:
        """A prepared object data set, one Zarr group."""
        return self.all_objects / f"{name}.zarr"

    def finetuned(self, task: str, name: str) -> Path:
        """A fine-tuning's folder, with one run in it a seed."""
        return self.root / "finetune" / task / name

    def finetuning_table(self, name: str) -> Path:
        """What `finetune-all` measured, in one file."""
        return self.root / "finetune" / f"{name}.json"

    @property
    def study(self) -> Path:
        """What the study makes on its way, and the world in which it chooses learning rates."""
        return self.root / "study"

    @property
    def figures(self) -> Path:
        """Pictures for people."""
        return self.root / "report" / "figures"
