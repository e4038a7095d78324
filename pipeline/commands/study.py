"""The command `study`."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cache.workspace import Workspace
from pipeline.choices import Choices
from pipeline.commands.extract import extract
from pipeline.commands.label_frames import label_frames
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Failure,
    Overrides,
    Root,
    num_cores,
    open_device,
)
from pipeline.commands.prepare import prepare
from pipeline.commands.sample import sample
from pipeline.commands.teacher_cache import teacher_cache
from pipeline.commands.teacher_train import teacher_train
from pipeline.plans.arms import Arms
from pipeline.plans.plan import Step, run_plan
from pipeline.probes import SCANS
from stages.machine.shares import own_share
from stages.settings import ConfigError
from stages.training.study.settings import SCRATCH, StudyConfig

RANDOM_TEACHER = "random_teacher"  # the one arm whose teacher is another


def study(
    results: Annotated[
        Path | None,
        typer.Option(help="Lines of finished cells; default: study/study.jsonl of the workspace."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=0, help="At a time; 0 is one for each core, on a GPU one.")
    ] = 0,
    show: Annotated[
        bool, typer.Option("--show", help="Run nothing; say what the lines come to.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The same as tables for a document; runs nothing.")
    ] = False,
    figure: Annotated[
        Path | None,
        typer.Option(help="Where to draw the differences; default: the report's figures."),
    ] = None,
    device: Device = "auto",
    config: Config = "study",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Ask whether what a student learned helps where labels are few, beside its controls.

    The plan is docs/study-plan.md: a world is made, arms are pre-trained over several seeds, probed with a
    linear layer and fine-tuned on 1 to 20 % of the scans. Each finished cell is a line of results; what has
    its line is not run again, so it can be stopped and gone on with at any time.
    """
    choices = Choices.of(config, overrides, workspace)
    settings = choices.section("study", StudyConfig)
    lines = results or choices.paths.study / "study.jsonl"
    arms = Arms(choices)
    for arm in settings.arms:
        if arm != SCRATCH:
            arms.named(arm)  # before anything is made
    if not (show or markdown):
        if own_share().count > 1:
            raise ConfigError(
                "study is one process, with --jobs of its own; run it without torchrun"
            )
        _make_world(choices, settings, device)
        _run(choices, settings, lines, jobs, device)

    from stages.report.figures.effects import draw_effects
    from stages.report.tables.effects import read_study, said

    found = read_study(lines, settings)
    for line in said(found, markdown=markdown):
        typer.echo(line)
    picture = figure or choices.paths.figures / "study.png"
    if found.effects and not markdown and draw_effects(found, picture):
        typer.echo(f"  in {lines}, drawn in {picture}")


def _run(choices: Choices, settings: StudyConfig, lines: Path, jobs: int, device: str) -> None:
    from pipeline.plans.study.lines import Lines
    from pipeline.plans.study.study import Study
    from pipeline.plans.study.units import Units
    from stages.training.study.cells import Machine

    where = open_device(device)
    is_gpu = where.type == "cuda"
    jobs = jobs or (1 if is_gpu else num_cores())
    threads = max(1, num_cores() // jobs) if jobs > 1 and not is_gpu else None
    machine = Machine(str(where), threads, quiet=jobs > 1)
    there = Lines(lines)
    command = f"distill3d study -c {choices.config}"
    plan = Study(Units(choices, settings, there), there, machine, jobs, command)
    plan.run(typer.echo)
    if plan.stopped_by:
        from signal import Signals

        raise typer.Exit(128 + Signals[plan.stopped_by])
    if plan.failed:
        raise Failure(f"{', '.join(plan.failed)}: failed, see above; the same command tries again")


def _make_world(choices: Choices, settings: StudyConfig, device: str) -> None:
    """Do what makes the worlds, each command once. Raises Failure."""
    paths = choices.paths
    steps = [_once(paths, name, partial(make, choices, device)) for name, make in COMMANDS.items()]
    if RANDOM_TEACHER in settings.arms:
        over = Choices(f"{choices.config}+{RANDOM_TEACHER}", choices.overrides, paths)
        steps.append(_once(paths, RANDOM_TEACHER, partial(_cached, over, device)))
    steps.append(_once(paths, "choosing", partial(_make_choosing, choices, settings)))
    progress = run_plan(steps, typer.echo)
    if progress.failed:
        name, why = next(iter(progress.failed.items()))
        raise Failure(f"{name}: {why}")


def _sampled(choices: Choices, device: str) -> None:
    sample(config=choices.config, workspace=choices.paths.root, overrides=list(choices.overrides))


def _extracted(choices: Choices, device: str) -> None:
    extract(
        scannet=choices.paths.sample / "recordings", config=choices.config,
        workspace=choices.paths.root, overrides=list(choices.overrides),
    )  # fmt: skip


def _labelled(choices: Choices, device: str) -> None:
    label_frames(workspace=choices.paths.root)


def _taught(choices: Choices, device: str) -> None:
    teacher_train(
        device=device, config=choices.config, workspace=choices.paths.root,
        overrides=list(choices.overrides),
    )  # fmt: skip


def _cached(choices: Choices, device: str) -> None:
    teacher_cache(
        device=device, config=choices.config, workspace=choices.paths.root,
        overrides=list(choices.overrides),
    )  # fmt: skip


def _prepared(choices: Choices, device: str) -> None:
    prepare(
        SCANS, config=choices.config, workspace=choices.paths.root,
        overrides=list(choices.overrides),
    )  # fmt: skip


COMMANDS: dict[str, Callable[[Choices, str], None]] = {
    "sample": _sampled,
    "extract": _extracted,
    "label-frames": _labelled,
    "teacher-train": _taught,
    "teacher-cache": _cached,
    "prepare": _prepared,
}


def _make_choosing(choices: Choices, settings: StudyConfig) -> None:
    """The world in which learning rates are chosen: scans alone, of another seed."""
    own, where = settings.choosing, choices.paths.study / "choosing"
    changes = {
        "seed": own.seed,
        "recorded": {"train": 1, "val": 1},
        "frames_per_recording": 1,
        "captioned": {"train": 1, "val": 1},
        "images_per_captioned_room": 1,
        "scanned": {"train": own.train, "val": own.val},
        "modelnet40": {"train": 1, "test": 1},
        "shapenetpart": {"train": 1, "val": 1, "test": 1},
    }
    told = [f"sample.{key}={json.dumps(value)}" for key, value in changes.items()]
    sample(config=choices.config, workspace=where, overrides=[*choices.overrides, *told])
    prepare(SCANS, config=choices.config, workspace=where, overrides=list(choices.overrides))
    shutil.rmtree(Workspace(where).sample)


def _once(paths: Workspace, name: str, make: Callable[[], None]) -> Step:
    """A step that leaves a mark when it came to its end, and is not done again."""
    mark = paths.study / "made" / name

    def run() -> bool:
        make()
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return True

    return Step(name, mark.is_file, run)
