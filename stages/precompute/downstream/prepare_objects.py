"""Object data sets to the cache: read once, in parallel, ordered by farthest point sampling.

A shape that is missing or malformed is left out, named and counted; the rest is prepared.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cache.card import Card, OtherConfigurationError, differences, fingerprint
from cache.commit import commit, lock, partial_path
from cache.data_sets import ObjectSet
from cache.objects import KIND, SCHEMA_VERSION, part_bounds, write_objects
from cache.scene_group import create_group, scene_card
from stages.machine.progress import Progress
from stages.machine.workers import run_all
from stages.precompute.downstream.object_sets import (
    OFF_MESHES,
    Found,
    Shape,
    Source,
    find_objects,
)
from stages.settings import Settings

SHAPES_PER_JOB = 32


class ObjectsConfig(Settings):
    """How objects are prepared."""

    # So many in FPS order, as far as training reads: Point-MAE draws 1024 of the first 1200.
    fps_points: int = Field(1200, ge=0)
    mesh_points: int = Field(8192, ge=64)  # drawn from a mesh
    scanobjectnn_variant: Literal["obj_bg", "obj_only", "pb_t50_rs"] = "pb_t50_rs"
    seed: int = Field(0, ge=0)


@dataclass
class ObjectsReport:
    """What was prepared: shapes by split, those left out and why, splits that failed, published counts."""

    layout: str
    shapes: dict[str, int] = field(default_factory=dict)
    complete_before: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    failed_splits: dict[str, str] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """Some shapes of a source, from `first`; `fps_points` of each are to be ordered."""

    source: Source
    split: str
    first: int
    fps_points: int


def run(
    config: ObjectsConfig,
    data_set: ObjectSet,
    *,
    root: Path,
    store: Path,
    workers: int = 1,
    overwrite: bool = False,
) -> ObjectsReport:
    """Prepare all splits of a data set below `root` into the Zarr group `store`.

    Splits that are complete are left alone. A split of which a file could not be tried (a failing
    disk, a process that died) is a failure of the report and not stored, and the next call tries again.
    Raises ValueError if no known layout is at `root`, or none of a split's shapes can be read, and
    OtherConfigurationError if the store holds another preparation, unless it may be overwritten; then
    no store is made.
    """
    fps_points = 0 if data_set is ObjectSet.SHAPENETPART else config.fps_points
    found = find_objects(
        data_set, root, variant=config.scanobjectnn_variant, mesh_points=config.mesh_points,
        seed=config.seed,
    )  # fmt: skip
    report = ObjectsReport(found.layout, published=found.published)
    wanted = {
        split: Card(
            KIND, SCHEMA_VERSION,
            {"data_set": data_set.value, "layout": found.layout, "split": split, "fps_points": fps_points,
             **({"mesh_points": config.mesh_points, "seed": config.seed} if found.layout == OFF_MESHES else {})},
            {"shapes": fingerprint([source.names, source.labels]), "files": fingerprint(found.files)},
        )
        for split, source in found.splits.items()
    }  # fmt: skip
    with lock(store.parent / ".locks" / store.name, wait=True):
        missing = {
            split: card
            for split, card in wanted.items()
            if not _is_complete(store, split, card, report, overwrite)
        }
        total = sum(len(found.splits[split].names) for split in missing)
        with Progress(f"prepare {data_set}", total, "shapes") as progress:
            shapes = _read_splits(found, list(missing), fps_points, workers, progress, report)
        for split in shapes:  # all of them before any is written: half a store is none
            _refuse_none(split, found.splits[split], shapes[split])
        if shapes:
            create_group(store, {})
        for split in shapes:
            _write_split(found, split, shapes[split], missing[split], store, report)
    return report


def _is_complete(
    store: Path, split: str, wanted: Card, report: ObjectsReport, overwrite: bool
) -> bool:
    found = scene_card(store, split)
    if found is None or overwrite:
        return False
    if found.fingerprint != wanted.fingerprint:
        changes = differences(
            {**found.config, "inputs": found.inputs}, {**wanted.config, "inputs": wanted.inputs}
        )
        raise OtherConfigurationError(
            f"{store / split}: prepared from something else: {'; '.join(changes)}. Replace it with "
            "--overwrite, or use another --workspace"
        )
    report.complete_before.append(split)
    report.shapes[split] = found.counts["shapes"]
    report.failed |= found.details["failed"]
    return True


def _read_splits(
    found: Found,
    splits: list[str],
    fps_points: int,
    workers: int,
    progress: Progress,
    report: ObjectsReport,
) -> dict[str, list[Shape | str]]:
    """Read the shapes of some splits, all of them in one pool; an error in place of a bad one.

    A split of which a job failed is left out, and is a failure of the report.
    """
    shapes: dict[str, list[Shape | str]] = {
        split: ["not read"] * len(found.splits[split].names) for split in splits
    }
    jobs = [
        _Job(_some(found.splits[split], first), split, first, fps_points)
        for split in splits
        for first in range(0, len(shapes[split]), SHAPES_PER_JOB)
    ]
    for outcome in run_all(_read_shapes, jobs, workers=workers, update=progress.update):
        job = outcome.job
        if outcome.result is None:
            names = job.source.names
            why = f"shapes {names[0]} to {names[-1]}: {outcome.error}"
            report.failed_splits.setdefault(job.split, why)
        else:
            shapes[job.split][job.first : job.first + len(outcome.result)] = outcome.result
    return {split: own for split, own in shapes.items() if split not in report.failed_splits}


def _refuse_none(split: str, source: Source, shapes: list[Shape | str]) -> None:
    if not any(isinstance(shape, Shape) for shape in shapes):
        first = next((shape for shape in shapes if isinstance(shape, str)), "its list is empty")
        raise ValueError(f"{split}: none of its {len(source.names)} shapes can be read: {first}")


def _write_split(
    found: Found,
    split: str,
    shapes: list[Shape | str],
    card: Card,
    store: Path,
    report: ObjectsReport,
) -> None:
    source = found.splits[split]
    failed = {source.names[i]: shape for i, shape in enumerate(shapes) if isinstance(shape, str)}
    kept = [(i, shape) for i, shape in enumerate(shapes) if isinstance(shape, Shape)]
    details = {
        "layout": found.layout,
        "classes": list(found.classes),
        "parts": part_bounds(found.parts),
        "names": [source.names[i] for i, _ in kept],
        "fps_points": card.config["fps_points"],
        "failed": failed,
    }
    written = Card(
        card.kind, card.schema_version, card.config, card.inputs, {"shapes": len(kept)}, details
    )
    labels = np.array([source.labels[i] for i, _ in kept])
    with partial_path(store / split) as partial:
        write_objects(partial, _arrays([shape for _, shape in kept], labels), written)
        commit(partial, store / split)
    report.shapes[split] = len(kept)
    report.failed |= failed


def _arrays(shapes: list[Shape], labels: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "points": np.concatenate([shape.points for shape in shapes]),
        "start": np.cumsum([0, *(len(shape.points) for shape in shapes)]),
        "label": labels,
    }
    normals = [shape.normals for shape in shapes if shape.normals is not None]
    parts = [shape.part for shape in shapes if shape.part is not None]
    if len(normals) == len(shapes):
        arrays["normals"] = np.concatenate(normals)
    if len(parts) == len(shapes):
        arrays["part"] = np.concatenate(parts)
    return arrays


def _some(source: Source, first: int) -> Source:
    part = slice(first, first + SHAPES_PER_JOB)
    return Source(source.names[part], source.labels[part], source.items[part], source.read)


def _read_shapes(job: _Job, advance: Callable[[int], None]) -> list[Shape | str]:
    """Read and order some shapes, in a worker; an error stands in place of a shape."""
    shapes: list[Shape | str] = []
    for name, item in zip(job.source.names, job.source.items, strict=True):
        try:
            shape = job.source.read(item)
            if len(shape.points) == 0:
                raise ValueError(f"{name}: has no points")
            shapes.append(shape)
        except ValueError as error:  # of the file itself; anything else fails all of the split
            shapes.append(str(error))
        except (OSError, MemoryError) as error:
            raise OSError(f"{name}: {str(error) or 'there was not enough memory'}") from None
    if job.fps_points:
        _order(shapes, job.fps_points)
    advance(len(shapes))
    return shapes


def _order(shapes: list[Shape | str], count: int) -> None:
    """Put the first `count` points of each shape in the order of farthest point sampling.

    Distances are those of the normalised shape, as training has it, by the rule of the reference.
    """
    import torch  # here, for it takes seconds, and not every data set needs it

    from stages.geometry.normalise import normalise
    from stages.geometry.pointops import farthest_point_sample

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # this process is one of many
    by_size: dict[int, list[int]] = {}
    for index, shape in enumerate(shapes):
        if isinstance(shape, Shape):
            by_size.setdefault(len(shape.points), []).append(index)
    for size, indices in by_size.items():
        points = torch.from_numpy(np.stack([shapes[i].points for i in indices]))  # type: ignore[union-attr]
        normal = normalise(points, "unit_sphere")
        chosen = farthest_point_sample(normal, min(count, size)).numpy()
        for index, first in zip(indices, chosen, strict=True):
            _reorder(shapes, index, first)
    torch.set_num_threads(threads)


def _reorder(shapes: list[Shape | str], index: int, first: NDArray[np.int64]) -> None:
    shape = shapes[index]
    assert isinstance(shape, Shape)
    _, places = np.unique(first, return_index=True)
    first = first[np.sort(places)]  # once all candidates are chosen, indices repeat
    rest = np.setdiff1d(np.arange(len(shape.points)), first)
    order = np.concatenate([first, rest])
    shapes[index] = Shape(
        shape.points[order],
        None if shape.normals is None else shape.normals[order],
        None if shape.part is None else shape.part[order],
    )
