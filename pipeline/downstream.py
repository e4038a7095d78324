"""What commands on downstream tasks ask before they begin: is the data there, and a start?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cache.workspace import Workspace
from pipeline.choices import Choices, why_no_objects, why_no_scans
from stages.settings import ConfigError
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of

if TYPE_CHECKING:
    from stages.training.tasks.finetune_config import FinetuneConfig


def check_parts(tasks: Sequence[TaskName], init: str | None, paths: Workspace) -> None:
    """See that some data and a start are there at all. Raises ConfigError."""
    folders = {
        paths.all_objects if description_of(task).reads == "objects" else paths.all_scans
        for task in tasks
    }
    if not any(folder.is_dir() for folder in folders):
        if paths.earlier_scans.is_dir():
            raise ConfigError(why_no_scans(paths, "scannet"))
        where = " and ".join(sorted(map(str, folders)))
        raise ConfigError(f"{where}: not there; run prepare first")
    if init is None and not paths.all_pretrained.is_dir():
        raise ConfigError(f"{paths.all_pretrained}: not there; run pretrain first, or give --init")


def task_settings(task: TaskName, choices: Choices) -> tuple["FinetuneConfig", Path]:
    """A task's configuration, and the store that it reads."""
    description = description_of(task)
    settings = choices.section(task.value, description.config)
    return settings, description.store(settings, choices.paths)


def why_no_data(task: TaskName, settings: "FinetuneConfig", paths: Workspace) -> str | None:
    """Say what to prepare if a task's store is not there."""
    description = description_of(task)
    if description.store(settings, paths).is_dir():
        return None
    is_of_objects = description.reads == "objects"
    return (why_no_objects if is_of_objects else why_no_scans)(paths, settings.data)


def configured_start(choices: Choices) -> str:
    """The folder of the configured pre-training. Raises ConfigError if it is not there."""
    from stages.training.pretraining.config import PretrainConfig

    folder = choices.paths.pretrained(choices.section("pretrain", PretrainConfig).name)
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such pre-training; run pretrain first, or name another start"
        )
    return str(folder)
