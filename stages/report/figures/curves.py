"""The curves of a run: what it logged, epoch by epoch, drawn beside its bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cache.commit import commit, partial_path
from cache.runs import FINE_TUNING, read_card, read_metrics, read_result
from stages.training.pretraining.config import PANELS
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of

# A panel is a title and the keys that it shows; what was not logged is left out.
Panels = tuple[tuple[str, tuple[str, ...]], ...]
LOSS: Panels = (("loss", ("loss", "val_loss")),)
OF_THE_LOOP: Panels = (
    ("learning rate", ("lr",)),
    ("gradient norm", ("grad_norm",)),
    ("samples a second", ("samples_per_s",)),
)
CHANCE, BAR = "chance_", "ridge_"


def draw_missing_curves(run: Path) -> bool:
    """Draw a finished run's curves if they are not there; False without matplotlib."""
    file = run / "curves.png"
    return file.exists() or draw_curves(run, file)


def draw_curves(run: Path, file: Path) -> bool:
    """Draw a run's `metrics.jsonl` and its result's bars to a PNG; False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:  # it is optional
        return False
    lines = read_metrics(run)
    bars = (read_result(run) or {}).get("bars", {})
    logged = set().union(*lines) if lines else set()
    panels = [(title, keys) for title, keys in _panels(run) if logged & set(keys)]
    if not panels:
        return True
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, keys) in zip(axes, panels, strict=False):
        _draw_panel(axis, title, [key for key in keys if key in logged], lines, bars)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    with partial_path(file) as partial:
        figure.savefig(partial, dpi=110, format="png")
        commit(partial, file)
    return True


def _panels(run: Path) -> Panels:
    """What a run logs, by what it is: each kind of training says its own."""
    card = read_card(run)
    kind = card.kind if card else ""
    if kind.startswith(FINE_TUNING):
        own = description_of(TaskName(kind.removeprefix(f"{FINE_TUNING}: "))).panels
    else:
        own = PANELS
    return (*LOSS, *own, *OF_THE_LOOP)


def _draw_panel(
    axis: Any,
    title: str,
    keys: Sequence[str],
    lines: Sequence[Mapping[str, Any]],
    bars: Mapping[str, float],
) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("epoch", fontsize=8)
    axis.grid(alpha=0.3)
    for key in keys:
        points = [(line["epoch"], line[key]) for line in lines if line.get(key) is not None]
        style = {"linestyle": ":", "color": "grey"} if key.startswith(CHANCE) else {"marker": "."}
        axis.plot(*zip(*points, strict=True), label=key, **style)
        if f"{BAR}{key}" in bars:
            axis.axhline(
                bars[f"{BAR}{key}"],
                linestyle="--",
                linewidth=1,
                label=f"{BAR}{key}",
                color="tab:red",
            )
    axis.legend(fontsize=7)


def draw_scan_probe(found: Mapping[str, Any], file: Path) -> bool:
    """Draw mean IoU of the frozen backbone over the epochs, and of random weights as a band.

    Bars and the band are one standard deviation over seeds; see `probing.scans`.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:  # it is optional
        return False
    trained, random = found["curve"], found["random"]["miou"]
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.errorbar(
        [row["epoch"] for row in trained],
        [row["miou"]["mean"] for row in trained],
        yerr=[row["miou"]["std"] or 0.0 for row in trained],
        marker="o",
        capsize=3,
        label="pre-trained",
    )
    around = random["std"] or 0.0
    axis.axhspan(random["mean"] - around, random["mean"] + around, color="grey", alpha=0.25, lw=0)
    axis.axhline(random["mean"], linestyle="--", color="grey", label="random weights")
    axis.set_ylim(0, 1.2 * max(random["mean"], *(row["miou"]["mean"] for row in trained)) + 1e-3)
    axis.set_xlim(left=0)
    axis.set_xlabel("epoch of the pre-training")
    axis.set_ylabel("mIoU on held scans")
    axis.set_title(f"linear layer on frozen features, {found['seeds']} seeds", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    with partial_path(file) as partial:
        figure.savefig(partial, dpi=110, format="png")
        commit(partial, file)
    return True
