"""The command `embed`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.choices import Choices
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Overrides,
    Root,
    open_device,
    wrong_usage,
)
from pipeline.downstream import configured_start
from pipeline.packages import require
from pipeline.words import counted
from stages.settings import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stages.sharing.student import Features


def embed(
    files: Annotated[
        list[str],
        typer.Argument(help="Clouds: .npy .ply .off .obj .las .pcd ..., or FILE.sens:INDEX."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A .npy, a row for each file, or a .safetensors with all of each."
        ),
    ],
    student: Annotated[
        str | None,
        typer.Option(
            help="A run, a checkpoint, an exported student, a .pth of Point-MAE, or owner/name on the "
            "hub; default: the configured pre-training."
        ),
    ] = None,
    view: Annotated[
        Path | None, typer.Option(help="Also write a page (.html) to look at the features.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the points that are drawn.")] = 0,
    device: Device = "auto",
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Turn clouds in files into a student's features, in metres and in the frame that it learned in."""
    from stages.sharing.clouds import KINDS

    if out.suffix not in (".npy", ".safetensors"):
        raise ConfigError(f"--out {out}: expected a name that ends in .npy or .safetensors")
    if view and view.suffix != ".html":
        raise ConfigError(f"--view {view}: expected a name that ends in .html")
    for file in files:
        name = file.rpartition(":")[0] if ".sens:" in file.lower() else file
        if not Path(name).is_file():
            raise ConfigError(f"{name}: no such file; expected {KINDS}")
    if view:
        require("plotly")
    source = student or configured_start(Choices.of(config, overrides, workspace))

    from stages.report.figures.feature_view import Seen, view_features
    from stages.sharing import embed as stage
    from stages.sharing.student import load_student

    with wrong_usage():
        loaded = load_student(source).to(open_device(device))
    seen: list[Seen] = []

    def look(name: str, cloud: "NDArray[np.float32]", found: "Features") -> None:
        typer.echo(f"  {name}: {len(cloud)} points, {len(found.patches)} patches")
        if view:
            features = found.points.float().cpu().numpy()
            seen.append(Seen(name, cloud, features, found.centers.float().cpu().numpy()))

    shown = loaded.input
    typer.echo(
        f"embed: {source} takes {shown.num_points} points, {shown.normalisation}, frame {shown.frame}"
    )
    with wrong_usage():
        stage.run(loaded, files, out=out, seed=seed, looked_at=look)
    typer.echo(f"embed: {counted(len(files), 'cloud')}; in {out}")
    if view:
        typer.echo(f"  to look at: {view_features(seen, view, frame=shown.frame)}")
