"""`inspect` on prepared downstream sets: objects and scans."""

from collections import Counter
from pathlib import Path

from cache.card import CardError
from cache.objects import read_objects
from cache.scans import read_scan
from cache.scene_group import Listing, missing_chunks
from cache.scene_set import SceneSet
from stages.checking.findings import Finding, Report
from stages.checking.said import counts


def inspect_objects(store: Path, *, verify: bool) -> Report:
    """Say which splits a prepared object set has, and whether they are whole."""
    report = Report(all_read=verify)
    report.fact("objects", str(store))
    listing = Listing.read(store)
    for split, member in listing.members.items():
        card = member.card
        failed = len(card.details["failed"])
        report.fact(
            split, f"{card.counts['shapes']} shapes{f', {failed} left out' if failed else ''}"
        )
        report.fact(
            "", f"{card.details['layout']}, {card.details['fps_points']} points in FPS order"
        )
        report.extend(_damage(store / split))
        if verify:
            try:
                read_objects(store, split, member)
            except CardError as error:
                report.found("", str(error))
    if not listing.members:
        report.found("", "no split is complete", "run prepare")
    return report


def inspect_scans(store: Path, *, verify: bool) -> Report:
    """Say how many prepared scans there are, and whether they are whole."""
    report = Report(all_read=verify)
    report.fact("annotated scans", str(store))
    splits, boxes = Counter[str](), 0
    listing = Listing.read(store)
    try:
        classes = SceneSet.of(listing.attributes, where=str(store))
        judged = f"{len(classes.segmentation)} classes, {len(classes.detection)} of boxes"
        report.fact("set", f"{classes.name}: {judged}")
    except CardError as error:
        report.found("", str(error))
    for scene_id, member in listing.members.items():
        card = member.card
        splits[card.inputs["split"]] += 1
        boxes += card.counts["detection_boxes"]
        report.extend(_damage(store / scene_id))
        if verify:
            try:
                read_scan(store, scene_id, member)
            except CardError as error:
                report.found("", str(error))
    report.fact("scenes", f"{sum(splits.values())} ({counts(splits)})")
    report.fact("boxes", f"{boxes} of the detection classes")
    return report


def _damage(path: Path) -> list[Finding]:
    """Name the arrays of which chunks are missing; opens small files only."""
    arrays = [child for child in sorted(path.iterdir()) if child.is_dir()]
    return [
        Finding(str(array), "chunks are missing", "run prepare again")
        for array in arrays
        if missing_chunks(array)
    ]
