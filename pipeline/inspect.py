"""`inspect`: says what an artifact is, and whether it is whole."""

from collections import Counter
from pathlib import Path

import numpy as np
import typer
from rich.progress import track

from cache.card import CardError, JsonDict
from cache.frames import KEPT, frames_card, iter_images, read_frames
from cache.points import SCALE_M, points_card, read_points
from pipeline.summaries import counts, gigabytes
from pipeline.workspace import Workspace
from stages.precompute.extract import frames_path
from stages.sources.images import image_size
from stages.sources.sens import (
    Matrix,
    SensError,
    SensFrame,
    SensFrameError,
    SensReader,
    check_color,
    decode_depth,
)


def inspect_path(path: Path, *, verify: bool, sens: Path | None) -> bool:
    """Print what lies at `path` and return whether it is whole. Raises ValueError if unknown."""
    if not path.exists():
        raise ValueError(f"{path}: nothing there")
    if path.suffix == ".sens":
        return _inspect_sens(path, verify)
    if path.suffix == ".parquet":
        return _inspect_scenes(Workspace(path.parent.parent), [path.stem], verify, sens)
    if path.name == "points.zarr":
        return _inspect_workspace(Workspace(path.parent), verify)
    if path.parent.name == "points.zarr":
        return _inspect_scenes(Workspace(path.parent.parent), [path.name], verify, sens)
    if (path / "points.zarr").is_dir():
        return _inspect_workspace(Workspace(path), verify)
    raise ValueError(
        f"{path}: expected a .sens, a workspace, its points.zarr, or one scene's folder in it or "
        "manifest in frames/"
    )


def _inspect_sens(path: Path, verify: bool) -> bool:
    with SensReader(path) as sens:
        header = sens.header
        _line("file", f"{path}, {gigabytes(sens.size_bytes)}")
        _line("sensor", header.sensor_name)
        width, height = header.color_size
        _line("colour", f"{width} x {height} {header.color_compression}")
        width, height = header.depth_size
        _line("depth", f"{width} x {height} {header.depth_compression}")
        _line("depth shift", f"{header.depth_shift:g} units per metre")
        _matrix("colour intrinsics", header.color_intrinsics)
        _matrix("colour extrinsics", header.color_extrinsics)
        _matrix("depth intrinsics", header.depth_intrinsics)
        _matrix("depth extrinsics", header.depth_extrinsics)
        first, last, lost, problems = _walk(sens, verify)
        _line("frames", f"{sens.num_whole_frames} whole of {header.num_frames}, {lost} poses lost")
        if first and last:
            _matrix("first pose", first.camera_to_world)
            _matrix("last pose", last.camera_to_world)
        imu, rest = sens.trailing()
        if imu is not None:
            _line("after them", f"{imu} IMU frames, {rest} bytes")
        if verify:
            _line("payloads", counts(problems) if problems else "all decode")
        if sens.damage:
            _line("damage", sens.damage)
        whole = sens.damage is None and not problems
        _line("whole", "yes" if whole else "no")
    return whole


def _walk(
    sens: SensReader, verify: bool
) -> tuple[SensFrame | None, SensFrame | None, int, Counter[str]]:
    """Return the first and last frame, the number of lost poses, and bad payloads by reason."""
    first = last = None
    lost, problems = 0, Counter[str]()
    for frame in sens.walk():
        first, last = first or frame, frame
        lost += not frame.pose_valid
        if verify:
            problems.update(_payload_problems(sens, frame))
    return first, last, lost, problems


def _payload_problems(sens: SensReader, frame: SensFrame) -> list[str]:
    import cv2

    color, depth = sens.payload(frame)
    problems = []
    try:
        check_color(color, sens.header)
        if cv2.imdecode(np.frombuffer(color, np.uint8), cv2.IMREAD_COLOR) is None:
            raise SensFrameError("corrupt_color", "does not decode")
    except SensFrameError as error:
        problems.append(error.reason)
    try:
        decode_depth(depth, sens.header)
    except SensFrameError as error:
        problems.append(error.reason)
    return problems


def _inspect_workspace(paths: Workspace, verify: bool) -> bool:
    scenes = {path.name for path in paths.points.iterdir() if path.is_dir()}
    scenes |= {path.stem for path in paths.frames.glob("*.parquet")}
    _line("workspace", str(paths.root))
    return _inspect_scenes(paths, sorted(scenes), verify, None)


def _inspect_scenes(paths: Workspace, scenes: list[str], verify: bool, sens: Path | None) -> bool:
    statuses, splits, configs = Counter[str](), Counter[str](), dict[str, JsonDict]()
    problems = []
    for scene_id in track(scenes, "verify", disable=not verify):
        try:
            card = _check_scene(paths, scene_id, verify, sens)
        except (CardError, SensError, ValueError, OSError) as error:
            problems.append(f"{scene_id}: {error}")
            continue
        if card["details"]["damage"]:
            problems.append(f"{scene_id}: its .sens was not whole: {card['details']['damage']}")
        statuses.update(card["counts"]["statuses"])
        splits[card["inputs"]["split"]] += 1
        configs[str(card["config"])] = card["config"]
    _line("scenes", f"{len(scenes)}: {counts(splits)}")
    rejected = {reason: n for reason, n in sorted(statuses.items()) if reason != KEPT}
    _line("frames", f"{statuses[KEPT]} kept, {counts(rejected) or 'none'} rejected")
    for config in configs.values():
        _line("made with", ", ".join(f"{key} {value}" for key, value in config.items()))
    if len(configs) > 1:
        problems.append(f"a mix of {len(configs)} configurations")
    for problem in problems:
        _line("problem", problem)
    _line("whole", "no" if problems else "yes" + (", all checksums read" if verify else ""))
    return not problems


def _check_scene(paths: Workspace, scene_id: str, verify: bool, sens: Path | None) -> JsonDict:
    """Return the scene's card as plain types. Raises ValueError if its two halves disagree."""
    card = points_card(paths.points, scene_id)
    manifest = frames_path(paths.frames, scene_id)
    if card is None:
        raise CardError(f"{paths.points / scene_id} is missing or incomplete; run extract again")
    if not manifest.is_file():
        raise CardError(f"{manifest} is missing; run extract again")
    if frames_card(manifest) != card:
        raise CardError(f"{manifest} and {paths.points / scene_id} are not of the same run")
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
    farthest = points_card(paths.points, scene_id).config["max_depth_m"] / SCALE_M  # type: ignore[union-attr]
    if len(points) and points[..., 2].max() > farthest:
        raise CardError(f"{paths.points / scene_id}: points beyond max_depth_m")


def _verify_source(path: Path, headers_sha256: str) -> None:
    with SensReader(path) as sens:
        for _ in sens.walk():
            pass
        if sens.headers_sha256 != headers_sha256:
            raise CardError(f"{path} has other frame headers than the file this was made from")


def _line(what: str, text: str) -> None:
    typer.echo(f"{what:<18} {text}")


def _matrix(what: str, matrix: Matrix) -> None:
    rows = ["  ".join(f"{value:9.4f}" for value in row) for row in matrix]
    if not np.isfinite(matrix).any():
        rows = ["lost"]
    elif np.array_equal(matrix, np.eye(4)):
        rows = ["identity"]
    for index, row in enumerate(rows):
        _line(what if index == 0 else "", row)
