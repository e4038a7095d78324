"""`inspect` of teachers: what they cached, and folders that teacher-train made."""

from pathlib import Path
from typing import Any

import numpy as np

from cache.card import CardError
from cache.frames import frames_card, frames_path, iter_images
from cache.prefixes import PREFIX, STATISTICS, VALID, read_array, read_statistics, store_identity
from cache.scene_group import list_scenes, scene_card
from cache.workspace import Workspace
from stages.checking.findings import Report
from stages.settings import validated

AGAIN = "run teacher-cache again"
SCENES_VERIFIED, ROWS_VERIFIED = 8, 4
# Of the largest value: float16 keeps three digits, other batches and threads round otherwise.
TOLERANCE = 0.01


def inspect_store(store: Path, *, verify: bool) -> Report:
    """Say whose prefixes a store holds, how many, and whether they are whole and finite."""
    report = Report(all_read=verify)
    paths = Workspace(store.parent.parent)
    teacher = store_identity(store)
    identity, config = teacher["identity"], teacher["config"]
    report.fact("prefixes", str(store))
    report.fact("teacher", f"{config['kind']}, {_which(config, teacher.get('pooling'))}")
    report.fact("tower", f"sha256 {identity['tower_sha256'][:16]}, {identity['precision']}")
    if identity["mapper_sha256"]:
        report.fact(
            "mapper", f"{identity['mapper']['kind']}, sha256 {identity['mapper_sha256'][:16]}"
        )
    about = identity["preprocessing"]
    report.fact("images", f"{about['size']} pixels, crop {about['crop']}, {teacher['decoder']}")
    scenes = _scenes_there(store)
    rows = sum(_check_scene(store, scene_id, paths, report) for scene_id in scenes)
    missing = sorted(set(list_scenes(paths.points)) - set(list_scenes(store)))
    if missing:
        report.found("", f"{len(missing)} extracted scenes are missing ({missing[0]}, ...)", AGAIN)
    report.fact("scenes", f"{len(scenes)}, {rows} rows")
    try:
        statistics = read_statistics(store)
        length, width = statistics.mean.shape
        report.fact("each", f"{length} x {width}")
        report.fact(
            "statistics",
            f"{statistics.num_rows} training rows: mean {statistics.mean.mean():.4f}, "
            f"deviation {statistics.std.mean():.4f}",
        )
    except CardError as error:
        report.found("", str(error))
    if verify:
        _recompute(store, paths, config, identity, report)
    return report


def _which(config: dict[str, Any], pooling: str | None) -> str:
    """The model of a teacher and where its weights came from, as far as its kind uses them."""
    match config["kind"]:
        case "clipcap" if config["source"] == "trained":
            return f"trained {config['trained']}"
        case "random":
            return f"{config['model']}, random weights of seed {config['seed']}"
        case "timm":
            own = config["pretrained"] == "openai"
            weights = "timm's own weights" if own else config["pretrained"]
            return f"{config['model']}, {weights}" + (f", pooled by {pooling}" if pooling else "")
        case _:
            return f"{config['model']}, {config['pretrained']}"


def inspect_trained(folder: Path) -> Report:
    """Say what a folder of teacher-train holds, and whether its weights can be read."""
    from stages.precompute.teacher.clipcap import load_checkpoint, load_mapper
    from stages.precompute.teacher.teacher_train import METRICS_FILE, teacher_card
    from stages.precompute.teacher.teachers import CHECKPOINT_FILE

    report = Report()
    report.fact("trained teacher", str(folder))
    card = teacher_card(folder)
    report.fact("made with", card.config)
    report.fact("last epoch", (folder / METRICS_FILE).read_text().splitlines()[-1])
    try:
        checkpoint = folder / CHECKPOINT_FILE
        mapper = load_mapper(load_checkpoint(checkpoint), where=str(checkpoint))
        shape = mapper.shape
        report.fact("mapper", f"{shape.kind}, {shape.embed_dim} to {shape.length} x {shape.width}")
    except ValueError as error:
        report.found("", str(error))
    return report


def _scenes_there(store: Path) -> list[str]:
    return sorted(
        path.name for path in store.iterdir() if path.is_dir() and path.name != STATISTICS
    )


def _check_scene(store: Path, scene_id: str, paths: Workspace, report: Report) -> int:
    """Read one scene's prefixes; returns the number of its rows."""
    try:
        prefix, valid = (read_array(store, scene_id, name) for name in (PREFIX, VALID))
        card = scene_card(store, scene_id)
        assert card is not None
        if not np.isfinite(prefix).all():
            report.found(scene_id, "values that are not finite", AGAIN)
        if len(prefix) != len(valid) or prefix[~valid].any():
            report.found(scene_id, "rows that are not valid are not zero", AGAIN)
        manifest = frames_path(paths.frames, scene_id)
        if frames_card(manifest).fingerprint != card.inputs["frames"]:
            report.found(scene_id, "made from other frames than are there", "cache it again")
        if card.counts["invalid"]:
            report.found(scene_id, f"{card.counts['invalid']} images could not be decoded")
    except CardError as error:
        report.found(scene_id, str(error))
        return 0
    return len(prefix)


def _recompute(
    store: Path,
    paths: Workspace,
    config: dict[str, Any],
    identity: dict[str, Any],
    report: Report,
) -> None:
    """Run the teacher again over some rows, and say by how much it differs."""
    import torch

    from stages.precompute.teacher.decoding import decode_batch
    from stages.precompute.teacher.teachers import TeacherConfig, load_teacher

    settings = validated(TeacherConfig, config)
    teacher = load_teacher(settings, trained=paths.teacher(settings.trained))
    if teacher.identity() != identity:
        report.found("", "the teacher that its configuration names has other weights now")
        return
    scenes = list_scenes(store)
    chosen = {scenes[i] for i in np.linspace(0, len(scenes) - 1, SCENES_VERIFIED).astype(int)}
    largest, scale = 0.0, 1e-9
    for scene_id in sorted(chosen) if scenes else ():
        prefix, valid = (read_array(store, scene_id, name) for name in (PREFIX, VALID))
        images = [image for _, image in iter_images(frames_path(paths.frames, scene_id))]
        rows = np.flatnonzero(valid)[:ROWS_VERIFIED]
        if len(rows) == 0:
            continue
        pixels = decode_batch(teacher.tower.preprocessing, [images[row] for row in rows]).pixels
        again = teacher(torch.from_numpy(pixels))[PREFIX].numpy()
        largest = max(largest, float(np.abs(again - prefix[rows]).max()))
        scale = max(scale, float(np.abs(prefix[rows]).max()))
    report.fact("computed again", f"largest difference {largest:.2e}, largest value {scale:.2f}")
    if largest > TOLERANCE * scale:
        report.found("", f"rows computed again differ by up to {largest:.3g}")
