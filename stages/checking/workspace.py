"""Which of our artifacts lies at a path, and what is found of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cache.captions import captions_card, read_captions
from cache.checkpoint import has_checkpoint
from cache.workspace import Workspace
from stages.checking.extracted import inspect_extracted, inspect_scenes
from stages.checking.findings import Report
from stages.checking.prepared import inspect_objects, inspect_scans
from stages.checking.recording import inspect_sens
from stages.checking.runs import inspect_checkpoint, inspect_run, is_run
from stages.checking.said import counts
from stages.checking.teacher import inspect_store, inspect_trained
from stages.sample.world_card import world_card
from stages.settings import ConfigError
from stages.sources.images import image_size

Part = Callable[[], Report]


def inspect_path(path: Path, *, verify: bool, sens: Path | None = None) -> Iterator[Report]:
    """Say what lies at `path`; of a workspace each of its parts by itself, as it is found.

    `verify` reads everything; `sens` is the recording that a single scene must have come from. In a
    workspace a part that cannot be read is a finding, and the others go on. Raises ConfigError if it
    is nothing of ours, or if `sens` is given and it is no single scene, CardError if it is damaged.
    """
    if sens and not _scene_at(path):
        raise ConfigError(f"{path}: --sens compares with one scene: give points.zarr/<scene>")
    if part := _part_at(path, verify, sens):
        return iter([part()])
    parts = list(_parts(Workspace(path), verify)) if path.is_dir() else []
    if not parts:
        raise _unknown(path)
    return _all_of(path, parts)


def _part_at(path: Path, verify: bool, sens: Path | None) -> Part | None:
    """What inspects a single artifact; None of a workspace, and of what is not ours."""
    if scene := _scene_at(path):
        return partial(inspect_scenes, scene[0], [scene[1]], verify=verify, sens=sens)
    if path.is_file():
        return _of_file(path, verify)
    is_store, kind = path.suffix == ".zarr", path.parent.name
    if is_run(path):  # before its folder's name: a run may be called teacher
        return partial(inspect_run, path, verify=verify)
    if has_checkpoint(path):
        return partial(inspect_checkpoint, path, verify=verify)
    if kind == "teacher":
        return (
            partial(inspect_store, path, verify=verify)
            if is_store
            else partial(inspect_trained, path)
        )
    if is_store and kind == "objects":
        return partial(inspect_objects, path, verify=verify)
    if is_store and kind == "scans":
        return partial(inspect_scans, path, verify=verify)
    if path.name == "points.zarr":
        return partial(inspect_extracted, Workspace(path.parent), verify=verify)
    if (path / "recordings").is_dir() and (path / "scans").is_dir():
        return partial(_inspect_sample, path)
    return None


def _scene_at(path: Path) -> tuple[Workspace, str] | None:
    if path.suffix == ".parquet" and path.parent.name == "frames":
        return Workspace(path.parent.parent), path.stem
    if path.parent.name == "points.zarr":
        return Workspace(path.parent.parent), path.name
    return None


def _of_file(path: Path, verify: bool) -> Part:
    if path.suffix.lower() == ".sens":
        return partial(inspect_sens, path, verify=verify)
    if path.suffix == ".parquet":
        return partial(_inspect_captions, path, verify)
    raise _unknown(path)


def _all_of(root: Path, parts: list[Part]) -> Iterator[Report]:
    head = Report()
    head.fact("workspace", str(root))
    yield head
    for part in parts:
        try:
            yield part()
        except (ValueError, OSError) as error:
            damaged = Report()
            damaged.found("", str(error))
            yield damaged


def _parts(paths: Workspace, verify: bool) -> Iterator[Part]:
    """What a workspace has, in the order in which it is made."""
    if paths.sample.is_dir():
        yield partial(_inspect_sample, paths.sample)
    if paths.captions.is_file():
        yield partial(_inspect_captions, paths.captions, verify)
    if paths.points.is_dir() or paths.frames.is_dir():
        yield partial(inspect_extracted, paths, verify=verify)
    if paths.earlier_scans.is_dir():
        yield partial(_inspect_earlier_scans, paths)
    folders = [
        *filter(Path.is_dir, sorted(paths.root.glob("teacher/[!.]*"))),
        *sorted(paths.all_objects.glob("*.zarr")),
        *sorted(paths.all_scans.glob("*.zarr")),
        *filter(is_run, sorted(paths.all_pretrained.glob("*"))),
        *filter(is_run, sorted(paths.root.glob("finetune/*/*/seed*"))),
    ]
    yield from (part for folder in folders if (part := _part_at(folder, verify, None)))


def _inspect_captions(path: Path, verify: bool) -> Report:
    report = Report(all_read=verify)
    report.fact("captions", str(path))
    card = captions_card(path)
    if card:
        report.fact("made with", card.config)
    images, sentences, splits = 0, 0, Counter[str]()
    for item in read_captions(path):
        images, sentences = images + 1, sentences + len(item.captions)
        splits[item.split] += 1
        try:
            image_size(item.image)
        except ValueError as error:
            report.found(f"{item.scene_id} frame {item.frame_index}", str(error))
    report.fact("holds", f"{images} images ({counts(splits)}), {sentences} captions")
    return report


def _inspect_sample(path: Path) -> Report:
    report = Report()
    report.fact("sample world", f"{path} (synthetic)")
    report.fact("made with", world_card(path).config)
    there = {what: len(list(path.glob(f"{what}/scans/*"))) for what in ("recordings", "scans")}
    report.fact("holds", counts(there))
    return report


def _inspect_earlier_scans(paths: Workspace) -> Report:
    report = Report()
    report.fact("annotated scans", str(paths.earlier_scans))
    mend = f"run prepare scannet, which writes {paths.scans('scannet')}, then delete it"
    report.found("", "of an earlier version, without its classes", mend)
    return report


def _unknown(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: expected a .sens, a workspace, its points.zarr, sample/ or captions.parquet, or "
        "one scene: points.zarr/<scene> or frames/<scene>.parquet, something in teacher/, objects/ or "
        "scans/, a run in pretrain/ or finetune/, or one of its checkpoints"
    )
