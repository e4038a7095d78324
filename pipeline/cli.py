"""The command line: one command a stage. It loads configuration, names paths, and calls `run`.

A stage is imported inside its command, so that `--help` is instant and a machine for one stage
needs no package of the other.
"""

import os
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cache.card import OtherConfigurationError
from pipeline.config import ConfigError, load_section
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from stages.sources.sens import Matrix

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    str, typer.Option("--config", "-c", help="A YAML file, or a shipped one by name.")
]
Root = Annotated[Path, typer.Option("--workspace", help="Folder of all artifacts.")]
Overrides = Annotated[
    list[str], typer.Option("--set", help="Change one value: section.key=value. Repeatable.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what another configuration or input made.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 1 if any frame or scene was left out.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0 is one for each core.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

DEFAULT_ROOT = Path("workspace")
INTERRUPTED = 130  # what Typer makes of Ctrl-C


class Failure(Exception):
    """The run ended, and part of it failed: exit 1 with this line."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distill3d {metadata.version('distill3d')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """3D point cloud pre-training with knowledge distillation from 2D images."""


@app.command()
def sample(
    workers: Workers = 0,
    config: Config = "demo",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Write the sample world: synthetic rooms in the formats of the real data."""
    from stages.sample import sample as stage

    settings = load_section(config, "sample", stage.SampleConfig, overrides)
    paths = _workspace(workspace)
    stage.run(settings, out=paths.sample, captions=paths.captions, workers=workers or num_cores())
    typer.echo(f"sample: {paths.sample} and {paths.captions}")


@app.command()
def extract(
    sens: Annotated[
        list[Path] | None,
        typer.Argument(help="Any .sens files or folders of them, instead of a ScanNet folder."),
    ] = None,
    scannet: Annotated[
        Path, typer.Option(help="ScanNet's folder: scans/<scene>/<scene>.sens and split lists.")
    ] = Path("data/scannet"),
    split: Annotated[
        str | None,
        typer.Option(help="Split of .sens files named one by one; train if not given."),
    ] = None,
    workers: Workers = 0,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="This job's share, 0/N to N-1/N, of an array of N.")
    ] = "0/1",
    overwrite: Overwrite = False,
    strict: Strict = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Turn every 25th RGB-D frame of each .sens into points and a manifest."""
    from pipeline.summaries import counted, print_extract_report, print_scene_list
    from stages.precompute import extract as stage
    from stages.precompute.extract_scene import ExtractConfig
    from stages.sources.scannet_layout import SPLITS, find_scenes, scenes_from_files

    settings = load_section(config, "extract", ExtractConfig, overrides)
    if split and split not in SPLITS:
        raise ConfigError(f"--split {split}: expected one of {', '.join(SPLITS)}")
    if split and not sens:
        raise ConfigError(
            f"--split {split} is for .sens files named one by one; of a ScanNet folder choose with "
            f'--set "extract.splits=[{split}]"'
        )
    part = _parse_shard(shard)
    paths = _workspace(workspace)
    try:
        if sens:
            found = scenes_from_files(sens, split or "train")
        else:
            found = find_scenes(scannet.expanduser(), settings.splits)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    print_scene_list(found, official=not sens)
    if not found.scenes:
        raise ConfigError(f"none of the scenes in the split lists has a .sens below {scannet}")
    num_mine = len(stage.share(found.scenes, part))
    if part[1] > 1:
        typer.echo(f"  of them, {num_mine} in share {part[0]} of {part[1]}")
    report = stage.run(
        settings,
        scenes=found.scenes,
        frames=paths.frames,
        points=paths.points,
        shard=part,
        workers=workers or num_cores(),
        overwrite=overwrite,
    )
    print_extract_report(report, paths)
    if debug:
        typer.echo("".join(report.traces), err=True)
    if report.failed:
        raise Failure(f"{len(report.failed)} of {counted(num_mine, 'scene')} failed, see above")
    if strict and (report.skipped_anything or found.missing):
        raise Failure("something was left out, see above (--strict)")


@app.command("teacher-train")
def teacher_train(
    captions: Annotated[
        Path | None, typer.Option(help="Pairs to learn from; default: the workspace's.")
    ] = None,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes; 0 chooses.")] = 0,
    overwrite: Overwrite = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Train a ClipCap of your own on pairs of image and caption, and judge its captions."""
    from stages.captioning.caption import judge
    from stages.captioning.decode import load_captioner
    from stages.device import choose_device
    from stages.precompute import teacher_train as stage
    from stages.precompute.caption_trainer import TeacherTrainConfig
    from stages.precompute.clipcap import load_checkpoint
    from stages.precompute.teachers import CHECKPOINT_FILE, TeacherConfig, load_teacher

    settings = load_section(config, "teacher_train", TeacherTrainConfig, overrides)
    paths = _workspace(workspace)
    pairs, folder, where = (
        captions or paths.captions, paths.teacher(settings.name), choose_device(device),
    )  # fmt: skip
    if not pairs.is_file():
        raise ConfigError(f"{pairs}: no such file; name one with --captions, or run sample first")
    stage.run(
        settings, captions=pairs, out=folder, device=where, overwrite=overwrite,
        workers=workers or max(1, num_cores() - 1),
    )  # fmt: skip
    trained = TeacherConfig(name=settings.name, source="trained")
    teacher = load_teacher(trained, trained=folder).to(where)
    checkpoint = folder / CHECKPOINT_FILE
    captioner = load_captioner(
        load_checkpoint(checkpoint), str(folder), where=str(checkpoint), device=where
    )
    table = paths.figures.parent / f"captions_{settings.name}.html"
    found = judge(teacher, captioner, pairs, table=table)
    typer.echo(f"teacher-train: {folder}; captions beside their images: {table}")
    for what, scores in (("captions", found.captions), ("shuffled control", found.shuffled)):
        typer.echo(
            f"  nouns of {what}, {found.num_images} unseen images: precision "
            f"{scores.precision:.3f}, recall {scores.recall:.3f}, F1 {scores.f1:.3f}"
        )


@app.command()
def caption(
    image: Annotated[Path | None, typer.Option(help="An image file.")] = None,
    frame: Annotated[
        str | None,
        typer.Option(metavar="SCENE:INDEX", help="A cached frame: its prefix, not its image."),
    ] = None,
    beams: Annotated[
        int, typer.Option(min=1, help="1 is greedy; ClipCap's beam search uses 5.")
    ] = 1,
    device: Device = "auto",
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Say in words what the teacher sees in an image, or what a cached prefix holds."""
    from stages.captioning import caption as stage
    from stages.captioning.decode import load_captioner
    from stages.device import choose_device
    from stages.precompute.clipcap import load_checkpoint
    from stages.precompute.teachers import TeacherConfig, checkpoint_file, load_teacher

    if (image is None) == (frame is None):
        raise ConfigError("give either --image FILE or --frame SCENE:INDEX")
    scene_id, _, index = (frame or "").rpartition(":")
    if frame and not (scene_id and index.isdecimal()):
        raise ConfigError(f"--frame {frame}: expected SCENE:INDEX, such as scene0000_00:25")
    settings = load_section(config, "teacher", TeacherConfig, overrides)
    paths, where = _workspace(workspace), choose_device(device)
    folder = paths.teacher(settings.trained)
    checkpoint = checkpoint_file(settings, folder)
    tokenizer = str(folder) if settings.source == "trained" else settings.tokenizer
    captioner = load_captioner(
        load_checkpoint(checkpoint), tokenizer, where=str(checkpoint), device=where
    )
    if image:
        teacher = load_teacher(settings, trained=folder).to(where)
        said = stage.caption_image(teacher, captioner, image.read_bytes(), beams=beams)
    else:
        said = stage.caption_frame(
            captioner, frames=paths.frames, store=paths.prefixes(settings.name),
            scene_id=scene_id, frame_index=int(index), beams=beams,
        )  # fmt: skip
    typer.echo(said)


@app.command("teacher-cache")
def teacher_cache(
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes; 0 chooses.")] = 0,
    overwrite: Overwrite = False,
    strict: Strict = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Cache what the frozen 2D teacher says of every kept frame.

    Under torchrun, each process takes its share of the scenes and its own GPU.
    """
    from pipeline.summaries import counted, print_cache_report
    from stages.device import choose_device
    from stages.precompute import teacher_cache as stage
    from stages.precompute.teachers import TeacherConfig, load_teacher

    settings = load_section(config, "teacher", TeacherConfig, overrides)
    paths = _workspace(workspace)
    where = choose_device(device)
    teacher = load_teacher(settings, trained=paths.teacher(settings.trained)).to(where)
    store = paths.prefixes(settings.name)
    report = stage.run(
        settings,
        teacher,
        frames=paths.frames,
        points=paths.points,
        store=store,
        workers=workers or max(1, num_cores() - 1),
        share=(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))),
        overwrite=overwrite,
    )
    print_cache_report(report, store)
    if report.failed:
        raise Failure(f"{counted(len(report.failed), 'scene')} failed, see above")
    if strict and report.invalid:
        raise Failure("some images could not be decoded, see above (--strict)")


@app.command("pack-sens")
def pack_sens(
    folder: Annotated[Path, typer.Argument(help="7-Scenes, ScanNet-exporter or TUM layout.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .sens to write.")],
    depth_intrinsics: Annotated[
        str | None, typer.Option(metavar="FX,FY,CX,CY", help="Instead of the folder's own.")
    ] = None,
    color_intrinsics: Annotated[
        str | None,
        typer.Option(metavar="FX,FY,CX,CY", help="Default: the folder's, else the depth camera's."),
    ] = None,
    depth_shift: Annotated[
        float | None,
        typer.Option(min=1, max=65_535, help="Depth units per metre; TUM 5000, others 1000."),
    ] = None,
    frames: Annotated[
        str, typer.Option(metavar="FROM:TO", help="Only these, counted from 0, TO left out.")
    ] = ":",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    debug: Debug = False,
) -> None:
    """Pack a folder of colour, depth, pose and intrinsics files into one .sens."""
    from dataclasses import replace

    from stages.sources import rgbd_folder
    from stages.sources.scannet_layout import checked_scene_id

    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists; replace it with --overwrite, or choose another --out")
    if out.suffix != ".sens":
        raise ConfigError(f"--out {out}: the name must end in .sens")
    try:
        checked_scene_id(out.stem, f"--out {out}")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    found = rgbd_folder.find_frames(folder)
    found = replace(found, frames=found.frames[_parse_range(frames)])
    if not found.frames:
        raise ConfigError(f"--frames {frames}: leaves none of the frames of {folder}")
    depth = _parse_intrinsics(depth_intrinsics) if depth_intrinsics else found.depth_intrinsics
    if depth is None:
        raise ConfigError(f"{folder} states no intrinsics; give --depth-intrinsics FX,FY,CX,CY")
    given = _parse_intrinsics(color_intrinsics) if color_intrinsics else found.color_intrinsics
    if given is None:
        typer.echo("colour camera: no intrinsics known, the depth camera's are taken", err=True)
    count = rgbd_folder.pack_folder(
        found,
        out,
        depth_intrinsics=depth,
        color_intrinsics=depth if given is None else given,
        depth_shift=depth_shift or found.depth_shift,
        sensor_name=found.layout,
    )
    left_out = f", {found.incomplete} without colour or depth left out" if found.incomplete else ""
    typer.echo(f"{out}: {count} frames of {found.layout} layout{left_out}")


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A .sens, a workspace, or anything in one.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything: payloads, checksums, agreement.")
    ] = False,
    sens: Annotated[
        Path | None,
        typer.Option(help="With --verify of one scene: the .sens that it must have come from."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Say what an artifact or a .sens is, and whether it is whole."""
    from pipeline.inspect.artifact import inspect_path

    if sens and not verify:
        raise ConfigError("--sens compares frame headers, which is part of --verify; give both")
    if not path.is_file() and not path.is_dir():
        there = "is neither a file nor a folder" if path.exists() else "nothing there"
        raise ConfigError(f"{path}: {there}")
    if not inspect_path(path, verify=verify, sens=sens):
        raise Failure(f"{path}: not whole, see above")


@app.command("contact-sheet")
def contact_sheet(
    scenes: Annotated[
        list[str] | None, typer.Argument(help="Scene ids; default: the first of each split.")
    ] = None,
    num_frames: Annotated[int, typer.Option(min=1, help="Frames, or scans, of one sheet.")] = 4,
    scannet: Annotated[
        Path | None, typer.Option(help="Draw annotated meshes of a ScanNet folder instead.")
    ] = None,
    modelnet40: Annotated[Path | None, typer.Option(help="Draw this data set instead.")] = None,
    shapenetpart: Annotated[Path | None, typer.Option(help="Draw this data set instead.")] = None,
    workspace: Root = DEFAULT_ROOT,
    debug: Debug = False,
) -> None:
    """Draw extracted frames (image, points), scans with their labels, objects with their parts.

    Without arguments: what the workspace has, the sample world included.
    """
    from stages.report import frame_sheet, object_sheet, scan_sheet

    paths = _workspace(workspace)
    others = (scannet, modelnet40, shapenetpart)
    if not any(others) and not scenes and paths.sample.is_dir():
        scannet, modelnet40, shapenetpart = (
            paths.sample_scans, paths.sample_modelnet40, paths.sample_shapenetpart,
        )  # fmt: skip
    if not any(others):
        for scene_id in scenes or frame_sheet.example_scenes(paths.frames, paths.points):
            out = paths.figures / f"frames_{scene_id}.png"
            typer.echo(frame_sheet.run(scene_id, frames=paths.frames, points=paths.points,
                                       out=out, num_rows=num_frames))  # fmt: skip
    if scannet:
        folders = scan_sheet.scan_folders(scannet)[:num_frames]
        typer.echo(scan_sheet.run(folders, out=paths.figures / "scans.png"))
    if modelnet40:
        out = paths.figures / "modelnet40.png"
        typer.echo(object_sheet.run_modelnet40(modelnet40, out=out))
    if shapenetpart:
        out = paths.figures / "shapenetpart.png"
        typer.echo(object_sheet.run_shapenetpart(shapenetpart, out=out))


def main() -> NoReturn:
    """Run the command line: exit 0 done, 1 the run failed, 2 wrong usage or configuration."""
    debug = "--debug" in sys.argv
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _say("stopped; the same command goes on from here", debug=False)
        raise
    except (ConfigError, OtherConfigurationError) as error:
        _say(str(error), debug=debug)
        sys.exit(2)
    except (Failure, ValueError, OSError, ImportError) as error:
        _say(str(error), debug=debug)
        sys.exit(1)
    sys.exit(0)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _workspace(root: Path) -> Workspace:
    root = root.expanduser()
    if root.exists() and not root.is_dir():
        raise ConfigError(f"--workspace {root}: it is a file; name a folder, it may be a new one")
    return Workspace(root)


def _say(message: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    typer.echo(f"distill3d: {message}", err=True)


def _parse_shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise ConfigError(f"--shard {text}: expected I/N with I from 0 to N-1, such as 0/16")


def _parse_range(text: str) -> slice:
    first, colon, last = text.partition(":")
    ends = [int(end) if end.isdecimal() else None for end in (first, last)]
    if not colon or any(end and not end.isdecimal() for end in (first, last)):
        raise ConfigError(f"--frames {text}: expected FROM:TO, such as 100:200")
    return slice(*ends)


def _parse_intrinsics(text: str) -> "Matrix":
    from stages.sources.sens_writer import intrinsic_matrix

    try:
        fx, fy, cx, cy = (float(word) for word in text.split(","))
        return intrinsic_matrix(fx, fy, cx, cy)
    except ValueError:
        raise ConfigError(
            f"{text}: expected FX,FY,CX,CY in pixels, focal lengths positive, such as "
            "585,585,320,240"
        ) from None
