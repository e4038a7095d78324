"""Annotated scans to the cache, a scene at a time, in parallel.

A scene that is complete is left alone; one that cannot be read is named, and the others go on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cache.card import Card, CardError, OtherConfigurationError, differences
from cache.commit import commit, lock, partial_path, sweep
from cache.data_sets import ScanSet
from cache.scans import KIND, SCHEMA_VERSION, write_scan
from cache.scene_group import group_attributes, replace_attributes, scene_card
from cache.scene_set import KEY
from stages.machine.progress import Progress
from stages.machine.workers import run_all
from stages.precompute.downstream.scan_sets import FoundScans, ScanSource, find_scans
from stages.sources.scannet_scans import AnnotatedScan


@dataclass
class ScansReport:
    """What was prepared, by split; listed scenes that are not there; what failed and why.

    `without_list` are splits that were left out for want of their list, and how that is called.
    """

    prepared: dict[str, int] = field(default_factory=dict)
    complete_before: int = 0
    boxes: int = 0
    missing: list[str] = field(default_factory=list)
    without_list: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    unknown_labels: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Job:
    source: ScanSource
    read: Callable[[Any], AnnotatedScan]
    layout: str
    boxed: tuple[int, ...]  # ids of the classes of boxes
    store: Path

    @property
    def inputs(self) -> dict[str, object]:
        """The scene, its split, and its files' sizes."""
        source = self.source
        return {"scene_id": source.scene_id, "split": source.split, "files": dict(source.files)}


def run(
    data_set: ScanSet,
    *,
    root: Path,
    store: Path,
    votenet: Path | None = None,
    workers: int = 1,
    overwrite: bool = False,
) -> ScansReport:
    """Prepare the scans of a set below `root` into the Zarr group `store`, with its classes on its card.

    With `votenet`, ScanNet's are read from the arrays that VoteNet's export left there. A missing list
    of test scenes leaves these out. Raises ValueError if other lists, label table or all of the scenes
    are not there; then no store is made.
    """
    found = find_scans(data_set, root, votenet=votenet)
    report = ScansReport(
        missing=list(found.missing),
        without_list=dict(found.without_list),
        failed=dict(found.unreadable),
    )
    jobs = _plan(found, store, report, overwrite)
    with Progress(f"prepare {data_set}", len(jobs), "scenes") as progress:
        for outcome in run_all(_prepare_scene, jobs, workers=workers, update=progress.update):
            if outcome.result is None:
                report.failed[outcome.job.source.scene_id] = str(outcome.error)
            else:
                _make_store(store, found)
                _count(outcome.result, report)
                report.unknown_labels.update(outcome.result.details["unknown_labels"])
    if report.prepared:
        _make_store(store, found)
    if store.is_dir():
        sweep(store)
    return report


def _plan(found: FoundScans, store: Path, report: ScansReport, overwrite: bool) -> list[_Job]:
    """List what is to be done; count what is complete, or cannot be replaced."""
    jobs = []
    for source in found.scans:
        job = _Job(source, found.read, found.layout, found.classes.detection.ids, store)
        try:
            if not _is_complete(job, report, overwrite):
                jobs.append(job)
        except (CardError, OSError) as error:
            report.failed[source.scene_id] = str(error)
    return jobs


def _make_store(store: Path, found: FoundScans) -> None:
    """Only once there is a scene: an empty store would be taken for a prepared data set.

    One that an earlier version made gets its classes.
    """
    with lock(store.parent / ".locks" / store.name, wait=True):
        there = group_attributes(store)
        if KEY not in there:
            replace_attributes(store, {**there, **found.classes.attributes()})


def _is_complete(job: _Job, report: ScansReport, overwrite: bool) -> bool:
    found = scene_card(job.store, job.source.scene_id)
    if found is None or overwrite:
        return False
    if found.inputs != job.inputs:
        changes = differences(found.inputs, job.inputs)
        raise OtherConfigurationError(
            f"prepared from something else: {'; '.join(changes)}. --overwrite replaces it"
        )
    report.complete_before += 1
    _count(found, report)
    return True


def _count(card: Card, report: ScansReport) -> None:
    split = card.inputs["split"]
    report.prepared[split] = report.prepared.get(split, 0) + 1
    report.boxes += card.counts["detection_boxes"]


def _prepare_scene(job: _Job, advance: Callable[[int], None]) -> Card:
    """Read, write and commit one scene, in a worker."""
    scan = job.read(job.source.item)
    arrays = {
        name: value
        for name in ("vertices", "colors", "semantic", "instance", "boxes")
        if (value := getattr(scan, name)) is not None
    }
    card = _card(job, scan)
    path = job.store / job.source.scene_id
    with (
        lock(job.store.parent / ".locks" / f"{path.name}.scan", wait=True),
        partial_path(path) as partial,
    ):
        write_scan(partial, arrays, card)
        commit(partial, path)
    advance(1)
    return card


def _card(job: _Job, scan: AnnotatedScan) -> Card:
    boxes = scan.boxes if scan.boxes is not None else np.zeros((0, 7))
    counts = {
        "vertices": len(scan.vertices),
        "instances": int((boxes[:, 6] > 0).sum()),
        "detection_boxes": int(np.isin(boxes[:, 6], job.boxed).sum()),
    }
    details = {
        "annotated": scan.semantic is not None,
        "alignment": scan.alignment.ravel().tolist(),
        "unknown_labels": list(scan.unknown_labels),
    }
    return Card(KIND, SCHEMA_VERSION, {"layout": job.layout}, job.inputs, counts, details)
