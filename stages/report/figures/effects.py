"""Differences between arms with their intervals, one row a budget and a control."""

from pathlib import Path

from cache.commit import commit, partial_path
from stages.report.tables.effects import WAYS, Found
from stages.training.study.settings import OURS, SHUFFLED

COLORS = ("#1b6ca8", "#c0562f", "#5d8a3a", "#7a4fa3", "#8a6d1f", "#3c8a8a")


def draw_effects(found: Found, file: Path) -> bool:
    """Draw how far ours is above each other arm to a PNG; False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:  # it is optional
        return False
    rows = [
        (budget, arm, one)
        for budget, own in sorted(found.effects.items())
        for arm, one in own.items()
    ]
    color_of = dict(zip((arm for arm in found.settings.arms if arm != OURS), COLORS, strict=False))
    figure = Figure(figsize=(7.6, 0.9 + 0.34 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color="#444444", linewidth=1)
    labels = []
    for place, (budget, arm, one) in enumerate(rows):
        color = color_of.get(arm, "#555555")
        if one.interval:
            axis.plot(
                one.interval, (place, place), color=color, linewidth=2.2, solid_capstyle="butt"
            )
        for value in one.by_pre_training:
            axis.plot(value, place, "|", color=color, markersize=9, alpha=0.7)
        axis.plot(
            one.mean,
            place,
            "o",
            color=color,
            markersize=6,
            markerfacecolor="white" if not one.is_clear else color,
        )
        primary = (budget, arm) == (("frozen", found.settings.primary), SHUFFLED)
        labels.append(
            f"{WAYS[budget[0]]}, {budget[1]:g} %: minus {arm}{' (primary)' if primary else ''}"
        )
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(f"mean IoU of {OURS} above the other arm", fontsize=8)
    figure.suptitle(
        "bar: 95 % interval; ticks: pre-trainings; filled: 0 is not in the interval", fontsize=8
    )
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    with partial_path(file) as partial:
        figure.savefig(partial, dpi=130, format="png")
        commit(partial, file)
    return True
