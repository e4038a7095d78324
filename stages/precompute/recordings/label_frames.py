"""Which objects the extracted frames show, from the label images that ScanNet publishes beside recordings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cache.card import Card, OtherConfigurationError, differences
from cache.frame_labels import (
    KIND,
    SCHEMA_VERSION,
    FrameLabels,
    frame_labels_card,
    write_frame_labels,
)
from cache.frames import frames_card, read_frames
from stages.machine.progress import Progress
from stages.machine.workers import run_all
from stages.sources.folder_kinds import SCAN_FOLDERS
from stages.sources.label_images import find_archive, label_images, read_ids
from stages.sources.scannet_scans import find_label_file

KEPT = "kept"


@dataclass
class LabelReport:
    """How many scenes and frames have labels now, and which scenes have no label images or failed."""

    scenes: int = 0
    frames: int = 0
    without: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    complete_before: bool = False


@dataclass(frozen=True)
class _Job:
    scene_id: str
    manifest: Path
    archive: Path
    names: dict[int, tuple[str, int]]


def run(
    root: Path, *, frames: Path, out: Path, workers: int = 1, overwrite: bool = False
) -> LabelReport:
    """Write what the kept frames of all extracted scenes show, of those with label images below `root`.

    All or nothing: if a scene fails no file is written. Raises ValueError if there is no label table, no
    extracted scene or no label image at all; OtherConfigurationError if the file is of other scenes.
    """
    names = read_ids(find_label_file(root))
    manifests = sorted(frames.glob("*.parquet"))
    if not manifests:
        raise ValueError(f"{frames}: no extracted scene; run extract first")
    report, jobs = LabelReport(), []
    for manifest in manifests:
        folders = (root / name / manifest.stem for name in SCAN_FOLDERS)
        found = next((own for folder in folders if (own := find_archive(folder))), None)
        if found is None:
            report.without.append(manifest.stem)
        else:
            jobs.append(_Job(manifest.stem, manifest, found, names))
    if not jobs:
        raise ValueError(
            f"{root}: none of the {len(manifests)} extracted scenes has a <scene>_2d-label-filt.zip there; "
            "ScanNet's download script fetches them with --type _2d-label-filt.zip"
        )
    card = _card(jobs)
    if _is_complete(out, card, report, overwrite):
        return report
    rows: list[FrameLabels] = []
    with Progress("label-frames", len(jobs), "scenes") as progress:
        for outcome in run_all(_read_scene, jobs, workers=workers, update=progress.update):
            if outcome.result is None:
                report.failed[outcome.job.scene_id] = str(outcome.error)
            else:
                rows += outcome.result
                report.scenes += 1
    report.frames = len(rows)
    if not report.failed:
        rows.sort(key=lambda row: (row.scene_id, row.frame_index))
        write_frame_labels(out, rows, card)
    return report


def _card(jobs: list[_Job]) -> Card:
    scenes = {
        job.scene_id: [frames_card(job.manifest).fingerprint, job.archive.stat().st_size]
        for job in jobs
    }
    return Card(KIND, SCHEMA_VERSION, {}, {"scenes": scenes})


def _is_complete(out: Path, card: Card, report: LabelReport, overwrite: bool) -> bool:
    there = frame_labels_card(out)
    if there is None or overwrite:
        return False
    if there.fingerprint != card.fingerprint:
        changes = differences(there.inputs, card.inputs)
        raise OtherConfigurationError(
            f"{out}: made from other scenes: {'; '.join(changes)}. --overwrite makes it anew"
        )
    report.complete_before, report.scenes = True, len(card.inputs["scenes"])
    return True


def _read_scene(job: _Job, advance: Callable[[int], None]) -> list[FrameLabels]:
    """What each kept frame of a scene shows, the largest first; in a worker."""
    table = read_frames(job.manifest, ["frame_index", "status"])
    kept = [row["frame_index"] for row in table.to_pylist() if row["status"] == KEPT]
    found = []
    for frame, ids in label_images(job.archive, kept):
        numbers, counts = np.unique(ids[ids > 0], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        shares = {int(numbers[n]): float(counts[n] / ids.size) for n in order}
        if unknown := sorted(set(shares) - set(job.names)):
            raise ValueError(
                f"{job.archive}: frame {frame}: ids {unknown} are not in the label table"
            )
        labels = [job.names[number] for number in shares]
        found.append(
            FrameLabels(
                job.scene_id, frame, tuple(raw for raw, _ in labels),
                tuple(nyu40 for _, nyu40 in labels), tuple(shares.values()),
            )
        )  # fmt: skip
    advance(1)
    return found
