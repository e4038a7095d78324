"""Stage one, second half: what a frozen teacher says of every kept frame, cached once.

The unit of work, of writing, of resuming and of locking is the scene. Batches never cross a scene,
so that what is stored does not depend on what else was done in the same run.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cache.card import Card, CardError, JsonDict, OtherConfigurationError, differences
from cache.commit import LockedError, claim, commit, lock, partial_path, sweep
from cache.frames import frames_card, frames_path, iter_images
from cache.prefixes import (
    KIND,
    SCHEMA_VERSION,
    STATISTICS,
    compute_statistics,
    is_whole,
    write_scene,
    write_statistics,
)
from cache.scene_group import (
    create_group,
    group_attributes,
    list_scenes,
    scene_card,
)
from stages.machine.progress import Progress
from stages.machine.shares import WHOLE, Share
from stages.precompute.teacher.decoding import Decoder, Pending, started_ahead
from stages.precompute.teacher.teachers import Teacher, TeacherConfig

# What can change a pixel or a rounding, beside the identity.
LIBRARIES = ("torch", "open_clip_torch", "timm", "pillow", "numpy")


@dataclass(frozen=True)
class SceneImages:
    """One extracted scene: where its images are, and what it was made from."""

    scene_id: str
    split: str
    manifest: Path
    fingerprint: str
    num_images: int

    def inputs(self) -> JsonDict:
        """What the card compares, without opening an image."""
        return {
            "scene_id": self.scene_id,
            "split": self.split,
            "frames": self.fingerprint,
            "images": self.num_images,
        }


@dataclass
class CacheReport:
    """The state of the chosen scenes after a run."""

    complete_before: int = 0
    cached: int = 0
    images: int = 0
    invalid: dict[str, int] = field(default_factory=dict)  # scene -> images that do not decode
    faults: dict[str, str] = field(default_factory=dict)  # scene -> why the first of them does not
    failed: dict[str, str] = field(default_factory=dict)
    num_train_rows: int | None = None  # None: other processes are not done yet

    def add(self, scene_id: str, card: Card) -> None:
        """Count one complete scene."""
        self.images += card.counts["valid"] + card.counts["invalid"]
        if card.counts["invalid"]:
            self.invalid[scene_id] = card.counts["invalid"]
            for row, fault in list(card.details.get("invalid", {}).items())[:1]:
                self.faults[scene_id] = f"row {row}: {fault}"


def run(
    config: TeacherConfig,
    teacher: Teacher,
    *,
    frames: Path,
    points: Path,
    store: Path,
    workers: int = 1,
    share: Share = WHOLE,
    overwrite: bool = False,
) -> CacheReport:
    """Cache the teacher's arrays of all extracted scenes into the Zarr group `store`.

    `share` is the part of the scenes that is taken; the process that ends last writes the
    statistics. Raises OtherConfigurationError if another teacher's arrays are there.
    """
    identity = teacher.identity()
    locks = store.parent / ".locks"
    report = CacheReport()
    with ExitStack() as running:
        with lock(locks / store.name, wait=True):
            running.enter_context(claim(locks / f"{store.name}.running", identity))
            _prepare_store(store, config, identity, teacher.tower.pooling, overwrite)
        scenes = find_scenes(frames, points, report)
        mine = share.of(scenes)
        todo = [scene for scene in mine if not _is_complete(store, scene, identity, report)]
        total = sum(scene.num_images for scene in todo)
        with (
            Progress("teacher-cache", total, "images") as progress,
            Decoder(teacher.tower.preprocessing, workers) as decoder,
        ):
            cacher = _Cacher(teacher, config, store, identity, decoder, report, progress)
            busy = cacher.cache(todo, wait=False)
            cacher.cache(busy, wait=True)
        with lock(locks / store.name, wait=True):
            report.num_train_rows = _finish(store, [scene.scene_id for scene in scenes])
    sweep(store)
    return report


def find_scenes(frames: Path, points: Path, report: CacheReport) -> list[SceneImages]:
    """List the extracted scenes by id; those that are damaged are failures of the report."""
    scenes = []
    for scene_id in list_scenes(points):
        manifest = frames_path(frames, scene_id)
        try:
            card = frames_card(manifest)
            if card != scene_card(points, scene_id):
                raise CardError(f"{manifest} is not of the same run as its points; extract again")
        except CardError as error:
            report.failed[scene_id] = str(error)
            continue
        count = card.counts["statuses"].get("kept", 0)
        split = card.inputs["split"]
        scenes.append(SceneImages(scene_id, split, manifest, card.fingerprint, count))
    if not scenes and not report.failed:
        raise ValueError(f"{points}: no extracted scene there; run extract first")
    return scenes


class _Cacher:
    """Runs scenes through the teacher, decoding ahead."""

    def __init__(
        self,
        teacher: Teacher,
        config: TeacherConfig,
        store: Path,
        identity: JsonDict,
        decoder: Decoder,
        report: CacheReport,
        progress: Progress,
    ) -> None:
        self.teacher, self.config, self.store, self.identity = teacher, config, store, identity
        self.decoder, self.report, self.progress = decoder, report, progress
        self.device = teacher.get_buffer("mean").device
        self.done = 0

    def cache(self, scenes: Sequence[SceneImages], *, wait: bool) -> list[SceneImages]:
        """Cache scenes; return those that another process is writing, unless `wait`ing for it."""
        busy = []
        line = _Line(started_ahead(self._decoding(scenes)))
        for scene in scenes:
            try:
                with self._lock(scene, wait=wait):
                    self._cache_scene(scene, line)
            except LockedError:
                busy.append(scene)
            except (ValueError, OSError, MemoryError) as error:
                self.report.failed[scene.scene_id] = str(error) or type(error).__name__
                self.progress.note(f"{scene.scene_id}: failed (why is said at the end)")
            line.skip_rest_of(scene)
        return busy

    def _lock(self, scene: SceneImages, *, wait: bool) -> AbstractContextManager[None]:
        return lock(self.store.parent / ".locks" / self.store.stem / scene.scene_id, wait=wait)

    def _decoding(self, scenes: Sequence[SceneImages]) -> "Iterator[Started]":
        """Start to decode batch after batch; None ends a scene, and so does an error."""
        for scene in scenes:
            try:
                images: list[bytes] = []
                names: list[str] = []
                for row, image in iter_images(scene.manifest):
                    images.append(image)
                    names.append(f"row {row}")
                    if len(images) == self.config.batch_images:
                        yield scene, self.decoder.submit(images, names)
                        images, names = [], []
                if images:
                    yield scene, self.decoder.submit(images, names)
                yield scene, None
            except (ValueError, OSError, MemoryError) as error:
                yield scene, error

    def _cache_scene(self, scene: SceneImages, line: "_Line") -> None:
        if _is_complete(self.store, scene, self.identity, self.report):
            return  # another process was faster
        rows: list[dict[str, NDArray[Any]]] = []
        faults: list[str] = []
        for pending in line.batches_of(scene):
            decoded = pending.result()
            found = self.teacher(torch.from_numpy(decoded.pixels).to(self.device))
            rows.append({name: value.cpu().numpy() for name, value in found.items()})
            faults += decoded.faults
            self.done += len(decoded.faults)
            self.progress.update(self.done)
        self._write(scene, rows, faults)

    def _write(
        self, scene: SceneImages, rows: list[dict[str, NDArray[Any]]], faults: Sequence[str]
    ) -> None:
        if not rows:  # a scene without a kept frame has arrays all the same, of no rows
            size = self.teacher.tower.preprocessing.size
            empty = self.teacher(torch.zeros(1, size, size, 3, dtype=torch.uint8).to(self.device))
            rows = [{name: value[:0].cpu().numpy() for name, value in empty.items()}]
        arrays = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        valid = np.array([not fault for fault in faults], bool)
        for values in arrays.values():
            values[~valid] = 0
        invalid = {str(row): fault for row, fault in enumerate(faults) if fault}
        card = Card(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            config=self.identity,
            inputs=scene.inputs(),
            counts={"valid": int(valid.sum()), "invalid": len(invalid)},
            details={"invalid": invalid} if invalid else {},
        )
        final = self.store / scene.scene_id
        with partial_path(final) as partial:
            write_scene(partial, arrays, valid, card)
            commit(partial, final)
        self.report.cached += 1
        self.report.add(scene.scene_id, card)


Started = tuple[SceneImages, Pending | Exception | None]


class _Line:
    """Started batches of scenes, one scene after the other, each with an end."""

    def __init__(self, batches: Iterator[Started]) -> None:
        self._batches = batches
        self._ended: SceneImages | None = None

    def batches_of(self, scene: SceneImages) -> Iterator[Pending]:
        """Yield the batches of the scene that is next. Raises what its decoding raised."""
        for of, pending in self._batches:
            assert of is scene
            if isinstance(pending, Pending):
                yield pending
                continue
            self._ended = scene
            if pending is not None:
                raise pending
            return

    def skip_rest_of(self, scene: SceneImages) -> None:
        """Go on to the next scene, if this one has not ended."""
        for of, pending in self._batches if self._ended is not scene else ():
            assert of is scene
            if not isinstance(pending, Pending):
                break
        self._ended = scene


def _is_complete(store: Path, scene: SceneImages, identity: JsonDict, report: CacheReport) -> bool:
    """True if a scene is there, whole, and of this teacher and these frames; it is counted then."""
    card = scene_card(store, scene.scene_id)
    wanted = Card(KIND, SCHEMA_VERSION, identity, scene.inputs())
    if card is None or card.fingerprint != wanted.fingerprint:
        return False
    if not is_whole(store, scene.scene_id):
        return False
    report.complete_before += 1
    report.add(scene.scene_id, card)
    return True


def _prepare_store(
    store: Path, config: TeacherConfig, identity: JsonDict, pooling: str | None, overwrite: bool
) -> None:
    """Make the store, or refuse one of another teacher. Scenes of other frames are replaced."""
    there = group_attributes(store).get("teacher", {}).get("identity")
    if there is not None and there != identity:
        if not overwrite:
            raise OtherConfigurationError(
                f"{store} was made by another teacher: {'; '.join(differences(there, identity))}. "
                "Replace it with --overwrite, or choose another name: --set teacher.name=NAME"
            )
        shutil.rmtree(store)
    versions = {name: metadata.version(name) for name in LIBRARIES}
    about = {
        "identity": identity,
        "config": config.model_dump(mode="json", exclude={"batch_images"}),
        "versions": versions,
        "pooling": pooling,  # of timm's towers: how tokens become the embedding
        "decoder": f"Pillow {versions['pillow']}",
    }
    create_group(store, {"teacher": about})


def _finish(store: Path, scene_ids: Sequence[str]) -> int | None:
    """Write the statistics once all scenes are there; return the number of training rows."""
    if not set(scene_ids) <= set(list_scenes(store)):
        return None
    statistics = compute_statistics(store, scene_ids)
    final = store / STATISTICS
    with partial_path(final) as partial:
        write_statistics(partial, statistics)
        commit(partial, final)
    return statistics.num_rows
