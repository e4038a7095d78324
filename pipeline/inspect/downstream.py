"""`inspect` on prepared downstream sets: objects and scans."""

from collections import Counter
from pathlib import Path

from cache.card import CardError
from cache.objects import read_objects
from cache.scans import read_scan
from cache.scene_group import list_scenes, missing_chunks, scene_card
from pipeline.lines import line, verdict
from pipeline.words import counts


def inspect_objects(store: Path, *, verify: bool) -> bool:
    """Print which splits a prepared object set has, and whether they are whole."""
    line("objects", str(store))
    problems = []
    for split in list_scenes(store):
        card = scene_card(store, split)
        assert card is not None
        failed = len(card.details["failed"])
        line(split, f"{card.counts['shapes']} shapes{f', {failed} left out' if failed else ''}")
        line("", f"{card.details['layout']}, {card.details['fps_points']} points in FPS order")
        problems += _damage(store / split)
        if verify:
            try:
                read_objects(store, split)
            except CardError as error:
                problems.append(str(error))
    if not list_scenes(store):
        problems.append("no split is complete; run prepare")
    return verdict(problems, verify=verify)


def inspect_scans(store: Path, *, verify: bool) -> bool:
    """Print how many prepared scans there are, and whether they are whole."""
    line("annotated scans", str(store))
    splits, boxes, problems = Counter[str](), 0, []
    for scene_id in list_scenes(store):
        card = scene_card(store, scene_id)
        assert card is not None
        splits[card.inputs["split"]] += 1
        boxes += card.counts["detection_boxes"]
        problems += _damage(store / scene_id)
        if verify:
            try:
                read_scan(store, scene_id)
            except CardError as error:
                problems.append(str(error))
    line("scenes", f"{sum(splits.values())} ({counts(splits)})")
    line("boxes", f"{boxes} of the 18 detection classes")
    return verdict(problems, verify=verify)


def _damage(path: Path) -> list[str]:
    """Name the arrays of which chunks are missing; opens small files only."""
    arrays = [child for child in sorted(path.iterdir()) if child.is_dir()]
    return [f"{array}: chunks are missing" for array in arrays if missing_chunks(array)]
