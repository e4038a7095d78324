"""What the lines of a study come to: arms with deviations, paired differences with intervals, classes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cache.results import read_cells
from stages.training.spread import said as spread_said
from stages.training.spread import spread
from stages.training.study.effects import FEWEST, Effect, Place, effect
from stages.training.study.settings import OURS, SCRATCH, SHUFFLED, StudyConfig

STUDY = "study"
WAYS = {"frozen": "frozen linear", "tuned": "fine-tuned"}
MEASURE = "miou"
CONTROLS = (SHUFFLED, SCRATCH)

Budget = tuple[str, float]  # a way and a percentage of the scans
Numbers = dict[Place, float]


@dataclass(frozen=True)
class Found:
    """All that is there: mean IoU, and IoU by class, by budget and arm; what pre-trainings reached."""

    settings: StudyConfig
    numbers: Mapping[Budget, Mapping[str, Numbers]]
    classes: Mapping[Budget, Mapping[str, Mapping[str, Numbers]]]
    scans: Mapping[Budget, int]
    reached: Mapping[str, list[Mapping[str, Any]]]
    views: Mapping[str, list[Mapping[str, Any]]]

    @property
    def effects(self) -> dict[Budget, dict[str, Effect]]:
        """Ours above each other arm, by budget; the primary one first."""
        primary = ("frozen", self.settings.primary)
        order = sorted(self.numbers, key=lambda budget: (budget != primary, budget))
        return {
            budget: {
                arm: effect(arms[OURS], arms[arm])
                for arm in self.settings.arms
                if arm != OURS
                and arm in arms
                and OURS in arms
                and arms[OURS].keys() & arms[arm].keys()
            }
            for budget in order
            if (arms := self.numbers[budget])
        }


@dataclass(frozen=True)
class Table:
    """A title, heads and rows of words."""

    title: str
    heads: tuple[str, ...]
    rows: list[list[str]]

    def lines(self, *, markdown: bool) -> list[str]:
        """The table in Markdown, or in columns for a terminal."""
        if markdown:
            rows = [list(self.heads), ["---"] * len(self.heads), *self.rows]
            return [f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
        everything = [list(self.heads), *self.rows]
        widths = [max(len(row[n]) for row in everything) for n in range(len(self.heads))]
        aligned = (
            "  "
            + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in everything
        )
        return [self.title, *aligned, ""]


def read_study(path: Path, settings: StudyConfig) -> Found:
    """Sort the lines of a study. Raises CardError if one is damaged."""
    numbers: dict[Budget, dict[str, Numbers]] = defaultdict(lambda: defaultdict(dict))
    classes: dict[Budget, dict[str, dict[str, Numbers]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    scans: dict[Budget, int] = {}
    reached: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    views: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for cell in read_cells(path, STUDY).values():
        way, arm = cell["unit"].partition("/")[0], cell["arm"]
        if way == "pretrain":
            reached[arm].append({**cell["measures"], **cell["bars"]})
        if way == "views":
            views[arm].append({**cell["measures"], **cell["bars"]})
        if way not in WAYS:
            continue
        budget = (way, float(cell["percent"]))
        place = (cell["pre_training"], cell["subset"], cell["seed"])
        numbers[budget][arm][place] = cell["measures"][MEASURE]
        scans[budget] = cell["scans"]
        for name, value in cell["by_class"].items():
            classes[budget][arm][name][place] = value
    return Found(settings, numbers, classes, scans, reached, views)


def said(found: Found, *, markdown: bool = False) -> list[str]:
    """All of it as lines of text: what is answered first, then the tables."""
    if not found.numbers and not found.reached:
        return ["study: no line of results yet"]
    tables = [_reached(found), _views(found), _arms(found), _effects(found), *_classes(found)]
    return [
        *_answer(found),
        "",
        *(line for table in tables if table.rows for line in table.lines(markdown=markdown)),
    ]


def _answer(found: Found) -> list[str]:
    """The primary endpoint in a sentence."""
    primary: Budget = ("frozen", found.settings.primary)
    what = f"frozen linear probe at {primary[1]:g} % of the scans, {OURS} minus {SHUFFLED}"
    answer = found.effects.get(primary, {}).get(SHUFFLED)
    if answer is None:
        return [f"Primary endpoint ({what}): not there yet."]
    if answer.interval is None:
        return [
            f"Primary endpoint ({what}): {answer.mean:+.4f} mIoU, of {len(answer.by_pre_training)} pre-trainings "
            f"each; an interval needs {FEWEST}."
        ]
    low, high = answer.interval
    clear = "an effect" if answer.is_clear else "no effect that could be told from 0"
    return [
        f"Primary endpoint ({what}): {answer.mean:+.4f} mIoU, 95 % interval {low:+.4f} to {high:+.4f}: {clear}."
    ]


def _reached(found: Found) -> Table:
    rows = []
    for arm in found.settings.arms:
        runs = found.reached.get(arm, [])
        if not runs:
            continue
        r2 = [run[key] for run in runs for key in ("val_r2", "val_direction_r2") if key in run]
        ridge = [
            run[f"ridge_{key}"]
            for run in runs
            for key in ("val_r2", "val_direction_r2")
            if f"ridge_{key}" in run
        ]
        top5 = [run["val_top5"] for run in runs if "val_top5" in run]
        rows.append(
            [
                arm,
                str(len(runs)),
                *(spread_said(spread(own)) if own else "" for own in (r2, ridge, top5)),
            ]
        )
    heads = ("arm", "pre-trainings", "R2 on held frames", "of the ridge", "top-5 of retrieval")
    return Table("What pre-trainings reached", heads, rows)


def _views(found: Found) -> Table:
    rows = [
        [arm, spread_said(spread([run["map"] for run in runs])), f"{runs[0]['geometry']:.4f}", f"{runs[0]['chance']:.4f}"]
        for arm in found.settings.arms
        if (runs := found.views.get(arm))
    ]  # fmt: skip
    heads = ("arm", "mean average precision", "of 32 plain numbers", "chance")
    return Table(
        "Which objects held frames show, linearly from one feature of the cloud", heads, rows
    )


def _arms(found: Found) -> Table:
    arms = found.settings.arms
    rows = []
    for budget in sorted(found.numbers):
        own = found.numbers[budget]
        cells = [
            f"{spread_said(spread(list(own[arm].values())))} (n {len(own[arm])})"
            if arm in own
            else ""
            for arm in arms
        ]
        rows.append([WAYS[budget[0]], _budget_said(found, budget), *cells])
    return Table(
        "Mean IoU on held scans, mean and deviation over all", ("way", "labels", *arms), rows
    )


def _effects(found: Found) -> Table:
    rows = []
    for budget, own in found.effects.items():
        for arm, one in own.items():
            interval = (
                f"{one.interval[0]:+.4f} to {one.interval[1]:+.4f}" if one.interval
                else f"none: {len(one.by_pre_training)} pre-training(s)"
            )  # fmt: skip
            each = ", ".join(f"{value:+.4f}" for value in one.by_pre_training)
            rows.append(
                [WAYS[budget[0]], _budget_said(found, budget), f"{OURS} - {arm}", f"{one.mean:+.4f}", interval,
                 f"{one.improved:.0%} of {one.pairs}", each]
            )  # fmt: skip
    heads = ("way", "labels", "difference", "mIoU", "95 % interval", "improved", "by pre-training")
    return Table("Paired differences; the primary one first", heads, rows)


def _classes(found: Found) -> list[Table]:
    """Classes of the primary budget, those first that gain most over shuffled targets."""
    primary: Budget = ("frozen", found.settings.primary)
    own = found.classes.get(primary, {})
    if OURS not in own:
        return []
    controls = [arm for arm in CONTROLS if arm in own]
    rows = []
    for name in own[OURS]:
        gains = [_gain(own[OURS][name], own[arm].get(name, {})) for arm in controls]
        rows.append((gains, [name, f"{fmean(own[OURS][name].values()):.4f}"]))
    rows.sort(key=lambda row: [-gain for gain in row[0] if gain is not None])
    heads = ("class", f"IoU of {OURS}", *(f"above {arm}" for arm in controls))
    words = [
        [*start, *("" if gain is None else f"{gain:+.4f}" for gain in gains)]
        for gains, start in rows
    ]
    return [Table(f"Classes, frozen linear at {_budget_said(found, primary)}", heads, words)]


def _gain(first: Numbers, second: Numbers) -> float | None:
    both = first.keys() & second.keys()
    return fmean(first[place] - second[place] for place in both) if both else None


def _budget_said(found: Found, budget: Budget) -> str:
    return f"{budget[1]:g} % ({found.scans[budget]} scans)"
