"""Annotated ScanNet scans to the cache, a scene at a time, in parallel.

A scene that is complete is left alone; one that cannot be read is named, and the others go on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cache.card import Card, CardError, OtherConfigurationError, differences
from cache.commit import commit, lock, partial_path, sweep
from cache.scannet_classes import SCANNET
from cache.scans import KIND, SCHEMA_VERSION, write_scan
from cache.scene_group import create_group, scene_card
from stages.machine.progress import Progress
from stages.machine.workers import run_all
from stages.sources.folder_kinds import scannet_root_above
from stages.sources.scannet_layout import read_splits, split_file
from stages.sources.scannet_scans import (
    MESH,
    AnnotatedScan,
    find_label_file,
    find_scan_folder,
    read_label_table,
    read_scan,
    read_votenet,
)

SPLITS = ("train", "val", "test")


@dataclass
class ScansReport:
    """What was prepared, by split; listed scenes that are not there; what failed and why.

    `without_list` are splits that were left out for want of their list.
    """

    prepared: dict[str, int] = field(default_factory=dict)
    complete_before: int = 0
    boxes: int = 0
    missing: list[str] = field(default_factory=list)
    without_list: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unknown_labels: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Job:
    scene_id: str
    split: str
    folder: Path
    is_votenet: bool
    labels: dict[str, int]
    store: Path
    inputs: dict[str, object]


def run(
    *,
    root: Path,
    store: Path,
    votenet: Path | None = None,
    splits: Sequence[str] = SPLITS,
    workers: int = 1,
    overwrite: bool = False,
) -> ScansReport:
    """Prepare the scenes of ScanNet's own lists below `root` into the Zarr group `store`.

    With `votenet`, scenes are read from the arrays that VoteNet's export left there. A missing list of
    test scenes leaves these out. Raises ValueError if other lists, label table or all of the scenes
    are not there; then no store is made.
    """
    if above := scannet_root_above(root, MESH):
        raise ValueError(f"{root} is a part of ScanNet's folder; prepare scannet {above}")
    labels = {} if votenet else read_label_table(find_label_file(root))
    without_list = [split for split in splits if split == "test" and not split_file(root, split)]
    report = ScansReport(without_list=without_list)
    listed = read_splits(root, [split for split in splits if split not in without_list])
    jobs = _plan(listed, root, store, votenet, labels, report, overwrite)
    if not jobs and not report.complete_before and not report.failed:
        raise ValueError(
            f"{votenet or root}: none of the {len(report.missing)} listed scenes is there; looked for "
            + (
                f"{votenet}/<scene>_vert.npy"
                if votenet
                else f"{root}/scans/<scene>/<scene>_vh_clean_2.ply"
            )
        )
    with Progress("prepare scannet", len(jobs), "scenes") as progress:
        for outcome in run_all(_prepare_scene, jobs, workers=workers, update=progress.update):
            if outcome.result is None:
                report.failed[outcome.job.scene_id] = str(outcome.error)
            else:
                _make_store(store)
                _count(outcome.result, report)
                report.unknown_labels.update(outcome.result.details["unknown_labels"])
    if store.is_dir():
        sweep(store)
    return report


def _plan(
    listed: Mapping[str, str],
    root: Path,
    store: Path,
    votenet: Path | None,
    labels: dict[str, int],
    report: ScansReport,
    overwrite: bool,
) -> list[_Job]:
    """List what is to be done; count what is complete, missing, or cannot be looked at."""
    jobs = []
    for scene_id, split in sorted(listed.items()):
        try:
            folder = votenet if votenet else find_scan_folder(root, scene_id)
            if folder is None or not (votenet is None or _has_votenet(votenet, scene_id)):
                report.missing.append(scene_id)
                continue
            inputs = _inputs(scene_id, split, folder, votenet is not None)
            job = _Job(scene_id, split, folder, votenet is not None, labels, store, inputs)
            if not _is_complete(job, report, overwrite):
                jobs.append(job)
        except (CardError, OSError) as error:
            report.failed[scene_id] = str(error)
    return jobs


def _make_store(store: Path) -> None:
    """Only once there is a scene: an empty store would be taken for a prepared data set."""
    with lock(store.parent / ".locks" / store.name, wait=True):
        create_group(store, SCANNET.attributes())


def _has_votenet(folder: Path, scene_id: str) -> bool:
    return any((folder / f"{scene_id}_vert{kind}.npy").is_file() for kind in ("", "_all"))


def _inputs(scene_id: str, split: str, folder: Path, is_votenet: bool) -> dict[str, object]:
    """The scene, its split, and its files' sizes: cheap to compare without opening them."""
    pattern = f"{scene_id}_*.npy" if is_votenet else f"{scene_id}[._]*"
    wanted = (".npy", ".ply", ".json", ".txt")
    sizes = {
        path.name: path.stat().st_size
        for path in sorted(folder.glob(pattern))
        if path.suffix in wanted and "labels.ply" not in path.name
    }
    return {"scene_id": scene_id, "split": split, "files": sizes}


def _is_complete(job: _Job, report: ScansReport, overwrite: bool) -> bool:
    found = scene_card(job.store, job.scene_id)
    if found is None or overwrite:
        return False
    if found.inputs != job.inputs:
        changes = differences(found.inputs, dict(job.inputs))
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
    if job.is_votenet:
        scan = read_votenet(job.folder, job.scene_id)
    else:
        scan = read_scan(job.folder, job.labels)
    arrays = {
        name: value
        for name in ("vertices", "colors", "semantic", "instance", "boxes")
        if (value := getattr(scan, name)) is not None
    }
    card = _card(job, scan)
    path = job.store / job.scene_id
    with (
        lock(job.store.parent / ".locks" / f"{job.scene_id}.scan", wait=True),
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
        "detection_boxes": int(np.isin(boxes[:, 6], SCANNET.detection.ids).sum()),
    }
    details = {
        "annotated": scan.semantic is not None,
        "alignment": scan.alignment.ravel().tolist(),
        "unknown_labels": list(scan.unknown_labels),
    }
    config = {"layout": "votenet" if job.is_votenet else "scannet"}
    return Card(KIND, SCHEMA_VERSION, config, dict(job.inputs), counts, details)
