"""Tables of fine-tuned tasks: all tasks in one, and a task's classes (the paper's Table 9)."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cache.commit import commit, partial_path
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of

Summaries = Mapping[str, Mapping[str, Any]]  # of fine-tunings, by task


def print_table(summaries: Summaries, say: Callable[[str], None]) -> None:
    """Say each task's headlines over its seeds, in percent; of one seed that it compares with nothing."""
    say(f"{'task':<15} {'measure':<20} {'mean':>6} {'std':>6}  seeds  from")
    for task, summary in summaries.items():
        for key, name in description_of(TaskName(task)).headlines:
            if key in summary["measures"]:
                measure = summary["measures"][key]
                say(
                    f"{task:<15} {name:<20} {100 * measure['mean']:>6.2f} {_percent(measure['std']):>6}  "
                    f"{len(measure['runs']):>5}  {summary['init']}"
                )
    if any(len(summary["seeds"]) == 1 for summary in summaries.values()):
        say(
            "one seed says that it runs; to compare, give --seeds 3 here and to --init scratch alike"
        )


def write_table(
    path: Path, summaries: Summaries, left_out: Mapping[str, str], failed: Mapping[str, str]
) -> None:
    """Write what `finetune-all` measured, and what it did not and why, as JSON."""
    table = {"tasks": dict(summaries), "left_out": dict(left_out), "failed": dict(failed)}
    _write(path, json.dumps(table, indent=2) + "\n")


def read_table(path: Path) -> dict[str, Any]:
    """The summaries of a table that was written before, none if there is none. Raises ValueError."""
    if not path.exists():
        return {}
    try:
        tasks = json.loads(path.read_bytes())["tasks"]
        return {task.value: tasks[task] for task in TaskName if task in tasks}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: not a table of finetune-all; move it away") from None


def class_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A header and a row for each class, of means and deviations over seeds, in percent."""
    columns = summary["by_class"]
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = []
    for name in names:
        row = [name]
        for column in columns.values():
            found = column.get(name)
            row += [_percent(found["mean"]), _percent(found["std"])] if found else ["", ""]
        rows.append(row)
    header = ["class", *(part for name in columns for part in (name, f"{name} std"))]
    return header, rows


def _percent(value: float | None) -> str:
    """A share in percent; a deviation of one value is none."""
    return "-" if value is None else f"{100 * value:.2f}"


def write_classes(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the classes' rows as CSV."""
    text = io.StringIO()
    header, rows = class_rows(summary)
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    _write(path, text.getvalue())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_path(path) as partial:
        partial.write_text(text)
        commit(partial, path)
