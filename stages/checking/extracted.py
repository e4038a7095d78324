"""`inspect` of what `extract` wrote: manifests and points, and that they agree."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from cache.card import CardError, JsonDict
from cache.frames import KEPT, frames_card, frames_path, iter_images, read_frames
from cache.points import SCALE_M, read_points
from cache.scene_group import missing_chunks, scene_card
from cache.workspace import Workspace
from stages.checking.findings import Report
from stages.checking.said import counts
from stages.machine.progress import Progress
from stages.sources.images import image_size
from stages.sources.sens import SensReader
from stages.sources.sens_format import SensError


def inspect_extracted(paths: Workspace, *, verify: bool) -> Report:
    """Say what is extracted in a workspace, and whether all of it is whole."""
    scenes = {path.name for path in paths.points.iterdir() if path.is_dir()}
    scenes |= {path.stem for path in paths.frames.glob("*.parquet")}
    return inspect_scenes(paths, sorted(scenes), verify=verify)


def inspect_scenes(
    paths: Workspace, scenes: list[str], *, verify: bool, sens: Path | None = None
) -> Report:
    """Say what these scenes hold; `sens` is the recording that a single one came from."""
    statuses, splits, configs = Counter[str](), Counter[str](), dict[str, JsonDict]()
    report = Report(all_read=verify)
    with Progress("verify", len(scenes), "scenes") if verify else nullcontext() as progress:
        for done, scene_id in enumerate(scenes):
            if progress:
                progress.update(done)
            try:
                card = _check_scene(paths, scene_id, verify, sens)
            except (CardError, SensError, ValueError, OSError) as error:
                report.found(scene_id, str(error))
                continue
            if card["details"]["damage"]:
                report.found(scene_id, f"its .sens was not whole: {card['details']['damage']}")
            statuses.update(card["counts"]["statuses"])
            splits[card["inputs"]["split"]] += 1
            configs[str(card["config"])] = card["config"]
    report.fact("scenes", f"{len(scenes)}: {counts(splits)}")
    rejected = {reason: n for reason, n in sorted(statuses.items()) if reason != KEPT}
    report.fact("frames", f"{statuses[KEPT]} kept, {counts(rejected) or 'none'} rejected")
    for config in configs.values():
        report.fact("made with", config)
    if len(configs) > 1:
        report.found("", f"a mix of {len(configs)} configurations")
    if not scenes:
        report.found("", "no scene is extracted here", "run extract")
    return report


def _check_scene(paths: Workspace, scene_id: str, verify: bool, sens: Path | None) -> JsonDict:
    """Return the scene's card as plain types. Raises ValueError if its two halves disagree."""
    card = scene_card(paths.points, scene_id)
    manifest = frames_path(paths.frames, scene_id)
    if card is None:
        raise CardError(f"{paths.points / scene_id} is missing or incomplete; run extract again")
    if frames_card(manifest) != card:
        raise CardError(f"{manifest} and {paths.points / scene_id} are not of the same run")
    if missing := missing_chunks(paths.points / scene_id):
        raise CardError(
            f"{paths.points / scene_id}: {missing} of its chunks are missing; run extract again"
        )
    if verify:
        _verify_scene(paths, scene_id)
    if verify and sens is not None:
        _verify_source(sens, card.details["headers_sha256"])
    return card.to_dict()


def _verify_scene(paths: Workspace, scene_id: str) -> None:
    """Read every byte, so that every checksum is checked, and compare manifest, images, points."""
    manifest = frames_path(paths.frames, scene_id)
    frames = read_frames(manifest)
    kept = [row for row in frames.to_pylist() if row["status"] == KEPT]
    points = read_points(paths.points, scene_id)
    images = list(iter_images(manifest))
    if [row["row"] for row in kept] != list(range(len(points))) or len(images) != len(points):
        raise CardError(f"{manifest} keeps {len(kept)} frames, points.zarr has {len(points)}")
    for row, (_, image) in zip(kept, images, strict=True):
        if list(image_size(image)) != row["color_size"]:
            raise CardError(f"{manifest}: frame {row['frame_index']} has an image of another size")
    if len(points) and not (points[..., 2] > 0).all():
        raise CardError(f"{paths.points / scene_id}: points at or behind the camera")
    farthest = scene_card(paths.points, scene_id).config["max_depth_m"] / SCALE_M  # type: ignore[union-attr]
    if len(points) and points[..., 2].max() > farthest:
        raise CardError(f"{paths.points / scene_id}: points beyond max_depth_m")


def _verify_source(path: Path, headers_sha256: str) -> None:
    with SensReader(path) as sens:
        for _ in sens.walk():
            pass
        if sens.headers_sha256 != headers_sha256:
            raise CardError(f"{path} has other frame headers than the file this was made from")
