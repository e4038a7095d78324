"""Writes the sample world: recordings and scans of furnished rooms, captioned images, objects.

Rooms for the teacher, for pre-training and for downstream tasks are disjoint, and every file is in
the format of the real data, so that only a path changes when that arrives.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from cache.captions import CaptionedImage, write_captions
from cache.card import Card, OtherConfigurationError, differences
from cache.commit import commit, partial_path
from stages.machine.progress import Progress
from stages.machine.workers import run_all
from stages.sample.rooms.rooms import ROOM_TYPES, make_room
from stages.sample.things.labels import LABELS, label_table
from stages.sample.world_card import CARD_FILE, world_card
from stages.sample.writing.captions import describe
from stages.sample.writing.objects import (
    CATEGORIES,
    CLASSES,
    MODELNET_FOLDER,
    SHAPENET_FOLDER,
    Classified,
    Parted,
    write_category,
    write_class,
)
from stages.sample.writing.objects import write_lists as write_object_lists
from stages.sample.writing.recordings import Stage, encode, record, set_up, shots
from stages.sample.writing.scans import scan, write_scan, write_scene_text
from stages.settings import Settings

KIND, SCHEMA_VERSION = "sample world", 1
LABEL_FILE = "scannetv2-labels.combined.tsv"
# First scene numbers, far from ScanNet's own (scene0000 to scene0806).
RECORDED, SCANNED, CAPTIONED = 1000, 2000, 3000


class Rooms(Settings):
    """How many rooms of each split."""

    train: int = Field(ge=1)
    val: int = Field(ge=1)


class SampleConfig(Settings):
    """How large the sample world is."""

    seed: int = Field(0, ge=0)
    recorded: Rooms = Rooms(train=40, val=8)
    frames_per_recording: int = Field(60, ge=1)
    scanned: Rooms = Rooms(train=24, val=8)
    captioned: Rooms = Rooms(train=40, val=8)
    images_per_captioned_room: int = Field(30, ge=1)
    captions_per_image: int = Field(4, ge=1)
    modelnet40: Classified = Classified(train=16, test=6)  # of each class
    shapenetpart: Parted = Parted(train=24, val=4, test=8)  # of each category
    points_per_object: int = Field(2048, ge=128)


@dataclass(frozen=True)
class RoomJob:
    """One room to make, and what to do with it."""

    use: str  # "recorded", "scanned" or "captioned"
    split: str
    index: int
    config: SampleConfig
    out: Path

    @property
    def scene_id(self) -> str:
        """A name in ScanNet's style."""
        first = {"recorded": RECORDED, "scanned": SCANNED, "captioned": CAPTIONED}[self.use]
        return f"scene{first + self.index:04d}_00"


@dataclass(frozen=True)
class ObjectJob:
    """All objects of one class of ModelNet40, or of one category of ShapeNetPart."""

    use: str  # "modelnet40" or "shapenetpart"
    name: str
    config: SampleConfig
    out: Path


def run(config: SampleConfig, *, out: Path, captions: Path, workers: int = 1) -> Card:
    """Write the world to the folder `out` and captioned images to the Parquet file `captions`.

    Does nothing if they are there already; raises CardError if they are of another configuration.
    The same configuration gives the same bytes.
    """
    nouns = {label.noun: sorted({label.noun, label.plural}) for label in LABELS.values()}
    details = {"nouns": nouns}  # that captions may name
    card = Card(KIND, SCHEMA_VERSION, config.model_dump(mode="json"), {}, details=details)
    if _is_complete(out, captions, card):
        return card
    with partial_path(out) as new, partial_path(captions) as new_captions:
        new.mkdir()
        jobs = _jobs(config, new)
        images: dict[str, list[CaptionedImage]] = {}
        with Progress("sample", len(jobs), "parts") as progress:
            for outcome in run_all(make, jobs, workers=workers, update=progress.update):
                if outcome.error is not None:
                    raise RuntimeError(f"{outcome.job}: {outcome.error}\n{outcome.trace}")
                if outcome.result:
                    images[outcome.result[0].scene_id] = outcome.result
        write_captions(
            new_captions, (item for scene_id in sorted(images) for item in images[scene_id]), card
        )
        _write_lists(jobs, new)
        write_object_lists(new, config.modelnet40, config.shapenetpart)
        (new / "README.md").write_text(_readme(config))
        (new / CARD_FILE).write_text(json.dumps(card.to_dict(), indent=2))
        commit(new_captions, captions)
        commit(new, out)
    return card


def make(job: RoomJob | ObjectJob, advance: Callable[[int], None]) -> list[CaptionedImage]:
    """Make what the job says and write its files; returns captioned images, if there are any."""
    images = []
    if isinstance(job, RoomJob):
        images = _make_room(job)
    elif job.use == "modelnet40":
        root, count = job.out / MODELNET_FOLDER, job.config.points_per_object
        write_class(root, job.name, job.config.modelnet40, count, job.config.seed)
    else:
        root, count = job.out / SHAPENET_FOLDER, job.config.points_per_object
        write_category(root, job.name, job.config.shapenetpart, count, job.config.seed)
    advance(1)
    return images


def _make_room(job: RoomJob) -> list[CaptionedImage]:
    use = ("recorded", "scanned", "captioned").index(job.use)
    generator = np.random.default_rng([job.config.seed, use, job.index])
    stage = set_up(make_room(ROOM_TYPES[job.index % len(ROOM_TYPES)], generator), generator)
    folder = job.out / {"recorded": "recordings", "scanned": "scans"}.get(job.use, "") / "scans"
    images = []
    match job.use:
        case "recorded":
            path = folder / job.scene_id / f"{job.scene_id}.sens"
            record(stage, path, job.config.frames_per_recording, generator)
            write_scene_text(stage, path.parent, num_frames=job.config.frames_per_recording)
        case "scanned":
            write_scan(stage, scan(stage, generator), folder / job.scene_id)
        case "captioned":
            images = _captioned(stage, job, generator)
    return images


def _captioned(stage: Stage, job: RoomJob, generator: np.random.Generator) -> list[CaptionedImage]:
    said = job.config.captions_per_image
    return [
        CaptionedImage(
            image=encode(shot.color),
            captions=tuple(describe(stage.room, shot.owner, said, generator)),
            scene_id=job.scene_id,
            frame_index=index,
            split=job.split,
        )
        for index, shot in enumerate(shots(stage, job.config.images_per_captioned_room, generator))
    ]


def _jobs(config: SampleConfig, out: Path) -> list[RoomJob | ObjectJob]:
    jobs: list[RoomJob | ObjectJob] = []
    for use in ("recorded", "captioned", "scanned"):  # the longest first
        rooms: Rooms = getattr(config, use)
        for index in range(rooms.train + rooms.val):
            split = "train" if index < rooms.train else "val"
            jobs.append(RoomJob(use, split, index, config, out))
    jobs += [ObjectJob("modelnet40", name, config, out) for name in CLASSES]
    jobs += [ObjectJob("shapenetpart", name, config, out) for name in CATEGORIES]
    return jobs


def _write_lists(jobs: list[RoomJob | ObjectJob], out: Path) -> None:
    """Split lists and the label table, beside the scenes as in ScanNet's release."""
    for use, folder in (("recorded", "recordings"), ("scanned", "scans")):
        for split in ("train", "val", "test"):
            scenes = [
                job.scene_id
                for job in jobs
                if isinstance(job, RoomJob) and (job.use, job.split) == (use, split)
            ]
            (out / folder / f"scannetv2_{split}.txt").write_text("".join(f"{s}\n" for s in scenes))
        (out / folder / LABEL_FILE).write_bytes(label_table().encode())


def _is_complete(out: Path, captions: Path, wanted: Card) -> bool:
    """True if this world is there. Raises CardError if another one is, or something else."""
    if not out.exists():
        return False
    card = world_card(out)
    if card.fingerprint != wanted.fingerprint:
        changes = "; ".join(differences(card.config, wanted.config))
        raise OtherConfigurationError(
            f"{out} is another sample world: {changes}. Remove it to write this one"
        )
    if not captions.is_file():
        shutil.rmtree(out)
        return False
    return True


def _readme(config: SampleConfig) -> str:
    return f"""# The sample world of distill3d

Everything here is synthetic: rooms, furniture, images, depth and sentences were made by a program
(seed {config.seed}). Nothing was recorded, and nothing comes from ScanNet, ModelNet or ShapeNet. The files have the
formats of ScanNet's release, of ModelNet40 and of ShapeNetPart, so that the same commands read them.

- `recordings/`: {config.recorded.train} train and {config.recorded.val} val rooms as `.sens` streams of
  {config.frames_per_recording} frames (`scans/<scene>/<scene>.sens`, `<scene>.txt`, `<scene>_2d-label-filt.zip`, split lists, label table).
- `scans/`: {config.scanned.train} train and {config.scanned.val} val other rooms as meshes with annotations
  (`_vh_clean_2.ply`, `.labels.ply`, `.aggregation.json`, `.segs.json`, `.txt`).
- Captioned images of yet other rooms lie in the Parquet file beside this folder.
- `{MODELNET_FOLDER}/`: {len(CLASSES)} of ModelNet40's classes,
  {config.modelnet40.train} train and {config.modelnet40.test} test objects of each.
- `{SHAPENET_FOLDER}/`: {len(CATEGORIES)} of
  ShapeNetPart's categories, {config.shapenetpart.train} train, {config.shapenetpart.val} val and {config.shapenetpart.test} test objects of each, parts labelled.
"""
