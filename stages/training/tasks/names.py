"""The tasks' names: of commands, of sections of a configuration, of folders in a workspace."""

from enum import StrEnum


class TaskName(StrEnum):
    """What `finetune` can do, in the order of `finetune-all`."""

    CLASSIFICATION = "classification"
    PARTS = "parts"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"
