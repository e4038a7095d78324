"""The command `pretrain-all`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.choices import Choices, need
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Failure,
    Overrides,
    Root,
    exit_if_stopped,
    open_device,
)
from pipeline.plans.arms import OURS
from pipeline.plans.plan import run_plan
from pipeline.plans.pretrain_all import Variants
from pipeline.probes import SEEDS
from pipeline.variants import all_variants
from stages.machine.shares import own_share
from stages.settings import ConfigError

RESULTS = "variants.jsonl"
Only = Annotated[
    str | None, typer.Option(help="Names of variants, with commas between; default: all of them.")
]
Results = Annotated[
    Path | None,
    typer.Option(help=f"Lines of finished variants; default: pretrain/{RESULTS} of the workspace."),
]


def pretrain_all(
    only: Only = None,
    results: Results = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of the frozen probe.")] = SEEDS,
    device: Device = "auto",
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Pre-train and probe every variant in turn: objectives, baselines, controls.

    All see what the configuration says; a variant's own values go over it. What is finished is not run
    again, what was stopped goes on; one that fails does not stop the others. A line of results is added
    for each; `variants` shows them.
    """
    choices = Choices.of(config, overrides, workspace)
    paths = choices.paths
    need(paths.points, "run extract first, or copy it here")
    if own_share().count > 1:
        raise ConfigError(
            "pretrain-all is one process; under torchrun run pretrain -c CONFIG+VARIANT for each, whose "
            "runs pretrain-all then finds finished"
        )
    known = [variant.name for variant in (OURS, *all_variants())]
    names = only.split(",") if only else known
    for name in names:
        if name not in known:
            raise ConfigError(f"--only {name}: no such variant; known are {', '.join(known)}")
    plan = Variants(
        choices, results or paths.all_pretrained / RESULTS, open_device(device), seeds,
        patient=device != "auto",
    )  # fmt: skip
    progress = run_plan([plan.step(name) for name in names], typer.echo)
    typer.echo(
        f"pretrain-all: {len(progress.done)} finished now, {len(progress.before)} before; lines in "
        f"{plan.results}"
    )
    for name, why in progress.left_out.items():
        typer.echo(f"  left out: {name}: {why}")
    for name, why in progress.failed.items():
        typer.echo(f"  failed: {name}: {why}")
    exit_if_stopped(plan.outcome)
    if progress.failed:
        raise Failure(f"{', '.join(progress.failed)}: failed, see above")
