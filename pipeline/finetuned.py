"""What a fine-tuning says when it ends: pictures are drawn, the table of classes is written."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.words import counted, print_training
from stages.training.spread import said
from stages.training.tasks.names import TaskName

if TYPE_CHECKING:
    from stages.training.finetuning.finetune import Finished


def print_finetuning(task: TaskName, finished: "Finished", out: Path) -> None:
    """Say how the runs of a task ended, and their measures over the seeds; draw what is missing."""
    if finished.outcome is not None and not finished.outcome.finished:
        print_training(f"finetune {task}", finished.outcome, finished.folder)
        return
    from stages.report.figures.curves import draw_missing_curves
    from stages.report.figures.task_figures import draw_task_figures
    from stages.report.tables.finetuned import class_rows, write_classes

    summary = finished.summary
    for name in summary["seeds"]:
        draw_missing_curves(out / name)
        draw_task_figures(out / name)
    typer.echo(
        f"finetune {task}: {counted(len(summary['seeds']), 'seed')} from {summary['init']}, last epoch; in {out}"
    )
    for name, measure in summary["measures"].items():
        runs = ", ".join(f"{value:.4f}" for value in measure["runs"])
        typer.echo(
            f"  {name:<22} {said(measure)}" + (f"   ({runs})" if len(measure["runs"]) > 1 else "")
        )
    if "by_class" in summary:
        write_classes(out / "by_class.csv", summary)
        header, rows = class_rows(summary)
        for row in (header, *rows):
            typer.echo(f"  {row[0]:<16}" + "".join(f"{cell:>14}" for cell in row[1:]))
