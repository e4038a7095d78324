"""What several runs of a task came to: mean and deviation over seeds."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cache.runs import read_result
from stages.training.spread import spread
from stages.training.tasks.names import TaskName

VOTED = ("mean", "std", "paper_style_best")  # of repeated votes


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


def split_shown(
    measured: Mapping[str, Any], shown: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a final evaluation into what its result keeps, and what only figures show."""
    kept = {key: value for key, value in measured.items() if key not in shown}
    return kept, {key: value for key, value in measured.items() if key in shown}


def measures_of(final: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a final evaluation: what is called `val_...`, and of voting mean and best.

    A score that is no float is a mistake of the task's, and says so.
    """
    scores = {key: value for key, value in final.items() if key.startswith("val_")}
    voting = final.get("voting", {})
    scores |= {f"voting_{key}": voting[key] for key in VOTED if voting.get(key) is not None}
    for name, value in scores.items():
        if not isinstance(value, float):
            raise TypeError(f"{name}: expected a float, found {type(value).__name__} {value!r}")
    return scores
