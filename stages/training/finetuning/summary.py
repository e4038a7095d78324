"""What several runs of a task came to: mean and deviation over seeds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cache.runs import read_result
from stages.training.spread import spread
from stages.training.tasks.names import TaskName

SHOWN = ("boxes", "scenes", "shapes")  # what figures show, of a final evaluation


def but_for_seed(card: Mapping[str, Any]) -> dict[str, Any]:
    """What runs of one fine-tuning share."""
    training = {k: v for k, v in card["config"]["training"].items() if k != "seed"}
    return {"config": {**card["config"], "training": training}, "inputs": card["inputs"]}


def summarise(task: TaskName, out: Path, init: str, like: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and deviation of every final measure over the finished seeds, and of each class's."""
    found = {folder.name: read_result(folder) for folder in sorted(out.glob("seed*"))}
    # Of this configuration: with --overwrite fewer seeds may have been run than there were before.
    runs = {
        name: result
        for name, result in found.items()
        if result and but_for_seed(result["run"]) == like
    }
    finals = [result["final"] for result in runs.values()]
    summary = {
        "task": task,
        "init": init,
        "seeds": list(runs),
        "epoch": "last",
        "measures": _over_runs([measures_of(final) for final in finals]),
    }
    columns = {column for final in finals for column in final.get("by_class", {})}
    if columns:
        summary["by_class"] = {
            column: _over_runs([final["by_class"][column] for final in finals])
            for column in sorted(columns)
        }
    return summary


def _over_runs(runs: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Mean, deviation and values of each name over the runs that have it."""
    found = {}
    for name in dict.fromkeys(key for run in runs for key in run):
        found[name] = spread([run[name] for run in runs if name in run])
    return found


def without_shown(final: Mapping[str, Any]) -> dict[str, Any]:
    """A final evaluation without what only figures show."""
    return {key: value for key, value in final.items() if key not in SHOWN}


def measures_of(final: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a final evaluation; those of voting by their own names."""
    voting = {f"voting_{k}": v for k, v in final.get("voting", {}).items()}
    return {key: v for key, v in {**final, **voting}.items() if isinstance(v, float)}
