"""What a stage tells a person when it begins and ends, in a few plain lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cache.frames import KEPT
from cache.workspace import Workspace
from stages.training.spread import said

if TYPE_CHECKING:
    from stages.loop.loop import Outcome
    from stages.precompute.downstream.prepare_objects import ObjectsReport
    from stages.precompute.downstream.prepare_scans import ScansReport
    from stages.precompute.recordings.extract import ExtractReport
    from stages.precompute.teacher.teacher_cache import CacheReport
    from stages.sources.rgbd_layouts.found import RgbdFolder
    from stages.sources.scannet_layout import SceneList
    from stages.training.finetuning.evaluate import Evaluated
    from stages.training.finetuning.finetune import Finished

MAX_NAMES = 5


def print_scene_list(found: "SceneList", *, official: bool) -> None:
    """Say how many scenes there are, and where they differ from ScanNet's own lists."""
    from stages.sources.scannet_layout import PUBLISHED_COUNTS

    size = sum(scene.size_bytes for scene in found.scenes)
    typer.echo(f"{counted(len(found.scenes), 'scene')}, {gigabytes(size)} of .sens")
    for split, count in found.listed.items() if official else ():
        if count != PUBLISHED_COUNTS[split]:
            typer.echo(
                f"  {split}: its list has {count}, ScanNetV2's own {PUBLISHED_COUNTS[split]}"
            )
    if found.missing:
        typer.echo(f"  listed, but no .sens there: {names(found.missing)}")
    if found.unlisted:
        typer.echo(f"  there, but in no split list, so left out: {names(found.unlisted)}")


def print_packed(found: "RgbdFolder", chosen: "RgbdFolder", asked: str) -> None:
    """Say what of a folder went into a .sens, and what did not; `chosen` are the frames `asked` for."""
    valid, lost = chosen.num_poses, len(chosen.frames) - chosen.num_poses
    if valid:
        typer.echo(f"  poses: {valid} valid, {lost} lost; from {found.poses_from}")
    else:
        source = f" in {found.poses_from}" if found.poses_from else ""
        typer.echo(f"  poses: none were found{source}: all are marked lost")
    if found.cameras.files:
        typer.echo(f"  cameras: from {', '.join(path.name for path in found.cameras.files)}")
    if found.by_order:
        typer.echo("  colour and depth have different names: they were paired by their order")
    last = asked.partition(":")[2]
    if last and int(last) > len(found.frames):
        typer.echo(f"  --frames {asked}: the folder has {len(found.frames)} frames, no more came")
    if found.incomplete:
        typer.echo(f"  left out: {counted(found.incomplete, 'frame')} without colour or depth")
    if found.unused:
        typer.echo(f"  not used: {names(found.unused)}")


def print_extract_report(report: "ExtractReport", paths: Workspace) -> None:
    """Say what was kept, rejected by reason, failed and why."""
    rejected = {reason: n for reason, n in sorted(report.statuses.items()) if reason != KEPT}
    typer.echo(
        f"extract: {counted(report.extracted, 'scene')} extracted, {report.complete_before} complete before, "
        f"{len(report.failed)} failed"
    )
    typer.echo(
        f"  frames: {report.statuses[KEPT]} kept, {sum(rejected.values())} rejected"
        f"{': ' + counts(rejected) if rejected else ''}"
    )
    for scene_id, damage in sorted(report.damaged.items()):
        typer.echo(f"  not whole: {scene_id}: {damage}")
    for scene_id, error in sorted(report.failed.items()):
        typer.echo(f"  failed: {scene_id}: {error}")
    typer.echo(f"  in {paths.frames} and {paths.points}")


def counted(count: int, noun: str) -> str:
    """Write `1 scene` or `3 scenes`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def names(items: tuple[str, ...]) -> str:
    """Write a count and the first few names."""
    more = ", ..." if len(items) > MAX_NAMES else ""
    return f"{len(items)} ({', '.join(items[:MAX_NAMES])}{more})"


def counts(by_reason: Mapping[str, int]) -> str:
    """Write `12 too_few_valid_pixels, 3 corrupt_depth`."""
    return ", ".join(f"{count} {reason}" for reason, count in by_reason.items())


def gigabytes(size: int) -> str:
    """Write bytes as MB or GB, of a million or a thousand million bytes."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def print_cache_report(report: "CacheReport", store: Path) -> None:
    """Say what was cached, what could not be decoded, and what failed."""
    typer.echo(
        f"teacher-cache: {counted(report.cached, 'scene')} cached, {report.complete_before} complete "
        f"before, {len(report.failed)} failed"
    )
    invalid = sum(report.invalid.values())
    typer.echo(f"  images: {report.images - invalid} valid, {invalid} cannot be decoded")
    for scene_id, count in sorted(report.invalid.items()):
        why = f" ({report.faults[scene_id]})" if scene_id in report.faults else ""
        typer.echo(f"  not decoded: {scene_id}: {counted(count, 'image')}{why}")
    for scene_id, error in sorted(report.failed.items()):
        typer.echo(f"  failed: {scene_id}: {error}")
    if report.num_train_rows is None:
        typer.echo("  statistics: not yet, other scenes are still missing")
    else:
        typer.echo(f"  statistics: over {report.num_train_rows} training rows")
    typer.echo(f"  in {store}")


def print_training(command: str, outcome: "Outcome | None", folder: Path) -> None:
    """Say how a training ended, and the way on if it was stopped; draw its curves at the end."""
    if outcome is None:
        typer.echo(f"{command}: {folder} is finished already; --overwrite trains it again")
        _draw_curves(folder)
    elif outcome.finished:
        drawn = _draw_curves(folder)
        typer.echo(
            f"{command}: finished, {outcome.epoch} epochs; in {folder}"
            + ("" if drawn else "; matplotlib is not installed, so no curves.png")
        )
        for name, value in outcome.metrics.items():
            if name.startswith(("val_", "chance_")):
                typer.echo(f"  {name:<16} {value:.4f}")
    else:
        why = f"on {outcome.stopped_by}" if outcome.stopped_by else "as asked"
        typer.echo(
            f"{command}: stopped {why} after step {outcome.step} of {outcome.total_steps} and saved in "
            f"{folder / 'last'}; the same command goes on from there (without --overwrite)"
        )


def _draw_curves(folder: Path) -> bool:
    """Draw a finished run's curves if they are not there; False without matplotlib."""
    from stages.report.figures.curves import draw_curves

    file = folder / "curves.png"
    return file.exists() or draw_curves(folder, file)


def print_objects_report(report: "ObjectsReport", data_set: str, store: Path) -> None:
    """Say what was prepared, where counts differ from the published ones, and what failed."""
    typer.echo(f"prepare {data_set}: layout {report.layout}")
    for split, count in report.shapes.items():
        published = report.published.get(split)
        other = f" (published: {published})" if published not in (None, count) else ""
        before = ", complete before" if split in report.complete_before else ""
        typer.echo(f"  {split}: {counted(count, 'shape')}{other}{before}")
    for name, error in sorted(report.failed.items())[:MAX_NAMES]:
        typer.echo(f"  left out: {name}: {error}")
    if len(report.failed) > MAX_NAMES:
        typer.echo(f"  left out: {len(report.failed) - MAX_NAMES} more")
    for split, error in report.failed_splits.items():
        typer.echo(f"  failed: {split}: {error}")
    typer.echo(f"  in {store}")


def print_finetuning(task: str, finished: "Finished", out: Path) -> None:
    """Say how the runs of a task ended, and their measures over the seeds; draw what is missing."""
    if finished.outcome is not None and not finished.outcome.finished:
        print_training(f"finetune {task}", finished.outcome, finished.folder)
        return
    from stages.report.figures.task_figures import draw_task_figures
    from stages.report.tables.finetuned import class_rows, write_classes

    summary = finished.summary
    for name in summary["seeds"]:
        _draw_curves(out / name)
        draw_task_figures(out / name)
    typer.echo(
        f"finetune {task}: {counted(len(summary['seeds']), 'seed')} from {summary['init']}, last epoch; in {out}"
    )
    for name, measure in summary["measures"].items():
        runs = ", ".join(f"{value:.4f}" for value in measure["runs"])
        typer.echo(
            f"  {name:<22} {said(measure)}" + (f"   ({runs})" if len(measure["runs"]) > 1 else "")
        )
    if "by_class" in summary:
        write_classes(out / "by_class.csv", summary)
        header, rows = class_rows(summary)
        for row in (header, *rows):
            typer.echo(f"  {row[0]:<16}" + "".join(f"{cell:>14}" for cell in row[1:]))


def print_evaluated(found: "Evaluated", weights: str, run: Path) -> None:
    """Say what a checkpoint reaches, beside what its run had found of it."""
    typer.echo(f"evaluate {found.task}: {weights} of {run}, epoch {found.epoch}")
    for name in found.changed:
        typer.echo(f"  its data of {name} is not the run's any more")
    for name, value in found.measures.items():
        before = found.before.get(name)
        typer.echo(
            f"  {name:<22} {value:.4f}"
            + (f"   (the run: {before:.4f})" if before is not None else "")
        )
    typer.echo(f"  in {run / f'evaluated_{weights}.json'}")


def print_probe(found: Mapping[str, Any], source: str, data: str) -> None:
    """Say what few labels reach on frozen features, beside random weights and seed for seed."""
    typer.echo(
        f"probe of {source} on {data}, a linear SVM on frozen features, {counted(found['seeds'], 'seed')}:"
    )
    columns = {"trained": "these weights", "random": "random weights", "difference": "difference"}
    arms = next(iter(found["measures"].values()))
    typer.echo(f"  {'':<16} " + " ".join(f"{columns[arm]:<18}" for arm in arms))
    for name, measure in found["measures"].items():
        cells = (said(measure[arm], sign="+" if arm == "difference" else "") for arm in arms)
        typer.echo(f"  {name:<16} " + " ".join(f"{cell:<18}" for cell in cells))


def print_scans_report(report: "ScansReport", store: Path) -> None:
    """Say how many scans there are now, and which are missing or failed."""
    total = sum(report.prepared.values())
    typer.echo(
        f"prepare scannet: {counted(total, 'scene')} ({counts(report.prepared)}), "
        f"{report.complete_before} complete before; {report.boxes} boxes of the 18 detection classes"
    )
    for split in report.without_list:
        typer.echo(f"  left out: {split}: no list scannetv2_{split}.txt there")
    if report.missing:
        typer.echo(f"  listed, but not there: {names(tuple(report.missing))}")
    if report.unknown_labels:
        typer.echo(
            f"  labels that the table does not have: {names(tuple(sorted(report.unknown_labels)))}"
        )
    for scene_id, error in sorted(report.failed.items()):
        typer.echo(f"  failed: {scene_id}: {error}")
    if total:
        typer.echo(f"  in {store}")
