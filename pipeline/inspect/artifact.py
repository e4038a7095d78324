"""Which of our artifacts lies at a path, and the room that inspects it."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cache.captions import captions_card, read_captions
from cache.checkpoint import has_checkpoint
from cache.workspace import Workspace
from pipeline.inspect.downstream import inspect_objects, inspect_scans
from pipeline.inspect.extracted import inspect_extracted, inspect_scenes
from pipeline.inspect.recording import inspect_sens
from pipeline.inspect.teacher import inspect_store, inspect_trained
from pipeline.inspect.training import inspect_checkpoint, inspect_run, is_run
from pipeline.lines import line, made_with, verdict
from pipeline.words import counts
from stages.sample.world_card import world_card
from stages.settings import ConfigError
from stages.sources.images import image_size


def inspect_path(path: Path, *, verify: bool, sens: Path | None) -> bool:
    """Print what lies at `path` and return whether it is whole.

    Raises ConfigError if it is nothing of ours, or if `sens` is given and it is no single scene.
    """
    scene = _scene_at(path)
    if scene:
        paths, scene_id = scene
        return inspect_scenes(paths, [scene_id], verify=verify, sens=sens)
    if sens:
        raise ConfigError(f"{path}: --sens compares with one scene: give points.zarr/<scene>")
    if path.is_file():
        return _inspect_file(path, verify)
    if path.suffix == ".zarr" and path.parent.name == "teacher":
        return inspect_store(path, verify=verify)
    if path.parent.name == "teacher":
        return inspect_trained(path)
    if is_run(path):
        return inspect_run(path, verify=verify)
    if has_checkpoint(path):
        return inspect_checkpoint(path, verify=verify)
    if path.suffix == ".zarr" and path.parent.name == "objects":
        return inspect_objects(path, verify=verify)
    if path.suffix == ".zarr" and path.parent.name == "scans":
        return inspect_scans(path, verify=verify)
    if path.name == "points.zarr":
        return inspect_extracted(Workspace(path.parent), verify=verify)
    if (path / "recordings").is_dir() and (path / "scans").is_dir():
        return _inspect_sample(path)
    return _inspect_workspace(Workspace(path), verify)


def _scene_at(path: Path) -> tuple[Workspace, str] | None:
    if path.suffix == ".parquet" and path.parent.name == "frames":
        return Workspace(path.parent.parent), path.stem
    if path.parent.name == "points.zarr":
        return Workspace(path.parent.parent), path.name
    return None


def _inspect_file(path: Path, verify: bool) -> bool:
    if path.suffix.lower() == ".sens":
        return inspect_sens(path, verify=verify)
    if path.suffix == ".parquet":
        return _inspect_captions(path, verify)
    raise _unknown(path)


def _inspect_workspace(paths: Workspace, verify: bool) -> bool:
    parts = list(_parts(paths, verify))
    if not parts:
        raise _unknown(paths.root)
    line("workspace", str(paths.root))
    found = []
    for inspect_part in parts:
        line("", "")
        found.append(inspect_part())
    return all(found)


def _parts(paths: Workspace, verify: bool) -> Iterator[Callable[[], bool]]:
    """What a workspace has, in the order in which it is made."""
    if paths.sample.is_dir():
        yield partial(_inspect_sample, paths.sample)
    if paths.captions.is_file():
        yield partial(_inspect_captions, paths.captions, verify)
    if paths.points.is_dir() or paths.frames.is_dir():
        yield partial(inspect_extracted, paths, verify=verify)
    for folder in sorted(paths.root.glob("teacher/[!.]*")):
        is_store = folder.suffix == ".zarr"
        yield (
            partial(inspect_store, folder, verify=verify)
            if is_store
            else partial(inspect_trained, folder)
        )
    for store in sorted(paths.root.glob("objects/*.zarr")):
        yield partial(inspect_objects, store, verify=verify)
    for store in sorted(paths.all_scans.glob("*.zarr")):
        yield partial(inspect_scans, store, verify=verify)
    for pattern in ("pretrain/*", "finetune/*/*/seed*"):
        for folder in sorted(filter(is_run, paths.root.glob(pattern))):
            yield partial(inspect_run, folder, verify=verify)


def _inspect_captions(path: Path, verify: bool) -> bool:
    line("captions", str(path))
    card = captions_card(path)
    if card:
        made_with(card.config)
    images, sentences, splits, problems = 0, 0, Counter[str](), []
    for item in read_captions(path):
        images, sentences = images + 1, sentences + len(item.captions)
        splits[item.split] += 1
        try:
            image_size(item.image)
        except ValueError as error:
            problems.append(f"{item.scene_id} frame {item.frame_index}: {error}")
    line("holds", f"{images} images ({counts(splits)}), {sentences} captions")
    return verdict(problems, verify=verify)


def _inspect_sample(path: Path) -> bool:
    line("sample world", f"{path} (synthetic)")
    card = world_card(path)
    made_with(card.config)
    there = {what: len(list(path.glob(f"{what}/scans/*"))) for what in ("recordings", "scans")}
    line("holds", counts(there))
    return verdict([], verify=False)


def _unknown(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: expected a .sens, a workspace, its points.zarr, sample/ or captions.parquet, or "
        "one scene: points.zarr/<scene> or frames/<scene>.parquet, something in teacher/, objects/ or "
        "scans/, a run in pretrain/ or finetune/, or one of its checkpoints"
    )
