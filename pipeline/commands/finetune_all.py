"""The command `finetune-all`."""

from typing import Annotated

import typer

from pipeline.choices import Choices
from pipeline.commands.finetune import Init, Seeds
from pipeline.commands.options import (
    DEFAULT_ROOT,
    Config,
    Debug,
    Device,
    Failure,
    Overrides,
    Overwrite,
    Root,
    exit_if_stopped,
    is_first_process,
    open_device,
    wrong_usage,
)
from pipeline.downstream import check_parts, configured_start
from pipeline.plans.finetune_all import How, plan_tasks, refuse_other_runs, report, run_all
from stages.training.tasks.names import TaskName


def finetune_all(
    init: Init = None,
    seeds: Seeds = 1,
    name: Annotated[
        str | None, typer.Option(help="The runs' name in each task; default: the configured ones.")
    ] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    config: Config = "paper",
    workspace: Root = DEFAULT_ROOT,
    overrides: Overrides = [],  # noqa: B006  (Typer copies it)
    debug: Debug = False,
) -> None:
    """Fine-tune a student on every task whose data is prepared, and end with one table.

    Finished runs are not run again, stopped ones go on. A task that fails does not stop the others, and
    its row of an earlier table stays. Nothing begins if any run's name is taken by another one.
    SIGTERM, Ctrl-C and a closed terminal stop all, saved (exit code 143, 130 or 129), without a table.
    """
    choices = Choices.of(config, overrides, workspace)
    check_parts(list(TaskName), init, choices.paths)
    init = init or configured_start(choices)
    plan = plan_tasks(name, choices)

    from stages.loop.processes import joined
    from stages.report.tables.finetuned import read_table
    from stages.training.weights.first_weights import load_initial

    with wrong_usage():
        initial = load_initial(init)
    if not overwrite:
        refuse_other_runs(plan, initial, seeds)
    before = read_table(plan.table)
    where = open_device(device)
    how = How(init, seeds, where, overwrite, patient=device != "auto", speaks=is_first_process())
    with joined(where):
        results = run_all(plan, how)
    if how.speaks:
        report(plan, results, before)
    exit_if_stopped(results.stopped)
    if results.failed:
        raise Failure(f"{', '.join(results.failed)}: failed, see above")
