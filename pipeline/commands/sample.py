"""The command `sample`."""

import typer

from cache.workspace import Workspace
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Overrides,
    Root,
    Workers,
    num_cores,
)
from pipeline.config import load_section
from pipeline.packages import require


def sample(
    workers: Workers = 0,
    config: Config = "demo",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Write the sample world: synthetic rooms in the formats of the real data."""
    require("open3d", "cv2")
    from stages.sample import sample as stage

    settings = load_section(config, "sample", stage.SampleConfig, overrides)
    paths = Workspace(workspace)
    stage.run(settings, out=paths.sample, captions=paths.captions, workers=workers or num_cores())
    typer.echo(f"sample: {paths.sample} and {paths.captions}")
