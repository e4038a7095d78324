"""The command `variants`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cache.results import read_cells
from pipeline.choices import Choices
from pipeline.commands.options import DEFAULT_ROOT, Debug, Root
from pipeline.commands.pretrain_all import RESULTS, Results
from pipeline.plans.arms import OURS
from pipeline.plans.pretrain_all import STUDY
from pipeline.variants import Variant, all_variants
from stages.training.spread import said

# What a variant reached on held frames, the first of these that it measures.
REACHED = {
    "val_r2": "R2", "val_direction_r2": "R2 of directions", "val_rebuilt": "rebuilt",
    "val_accuracy": "accuracy",
}  # fmt: skip
HEADS = ("variant", "held frames", "bar", "frozen linear probe, mIoU", "more than random weights")


def variants(
    results: Results = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a table of what ran, for a document.")
    ] = False,
    workspace: Root = DEFAULT_ROOT,
    debug: Debug = False,
) -> None:
    """List every objective, baseline and control: what it changes, its row in the paper, what it reached."""
    paths = Choices.of("paper", (), workspace).paths
    cells = read_cells(results or paths.all_pretrained / RESULTS, STUDY)
    everything = (OURS, *all_variants())
    if markdown:
        _print_table(everything, cells)
        return
    for variant in everything:
        typer.echo(variant.name)
        for key in ("changes", "paper", "source", "needs", "open"):
            if text := getattr(variant, key):
                typer.echo(f"  {key:<8} {text}")
        typer.echo(f"  {'ran':<8} {_reached(cells.get(variant.name))}")


def _reached(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not here"
    parts = [_held(cell)]
    if cell["probe"]:
        last, random = cell["probe"]["curve"][-1], cell["probe"]["random"]
        parts.append(
            f"frozen probe mIoU {said(last['miou'])}, random weights {said(random['miou'])}"
        )
    return "; ".join(parts)


def _held(cell: Mapping[str, Any]) -> str:
    measures = cell["measures"]
    found = [f"{words} {measures[key]:.3f}" for key, words in REACHED.items() if key in measures]
    return ", ".join(found) or "no held frames"


def _bar(cell: Mapping[str, Any]) -> str:
    bars, measures = cell["bars"], cell["measures"]
    ridge = [bars[key] for key in ("ridge_val_r2", "ridge_val_direction_r2") if key in bars]
    if ridge:
        return f"ridge {ridge[0]:.3f}"
    if "chance_accuracy" in measures:
        return f"chance {measures['chance_accuracy']:.1f}"
    return "0: one and the same for all"


def _print_table(everything: tuple[Variant, ...], cells: Mapping[str, Mapping[str, Any]]) -> None:
    typer.echo(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for variant in everything:
        cell = cells.get(variant.name)
        if cell is None:
            row = [variant.name, "", "", "", ""]
        else:
            probe = cell["probe"]
            judged = ["", ""]
            if probe:
                judged = [said(probe["curve"][-1]["miou"]), said(probe["difference"], sign="+")]
            row = [variant.name, _held(cell), _bar(cell), *judged]
        typer.echo(f"| {' | '.join(row)} |")
