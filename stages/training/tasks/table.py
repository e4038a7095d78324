"""The one table of tasks: a task is a folder, its name, and its two lines here.

A name without its lines is a type error.
"""

from typing import Any, assert_never

from stages.training.tasks.kinds import Description, Work
from stages.training.tasks.names import TaskName


def description_of(task: TaskName) -> Description[Any]:
    """What can be known of a task without torch."""
    match task:
        case TaskName.CLASSIFICATION:
            from stages.training.tasks.classification.config import DESCRIPTION as classification

            return classification
        case TaskName.PARTS:
            from stages.training.tasks.parts.config import DESCRIPTION as parts

            return parts
        case TaskName.SEGMENTATION:
            from stages.training.tasks.segmentation.config import DESCRIPTION as segmentation

            return segmentation
        case TaskName.DETECTION:
            from stages.training.tasks.detection.config import DESCRIPTION as detection

            return detection
        case _:
            assert_never(task)


def work_of(task: TaskName) -> Work[Any]:
    """What a task does. Imports torch."""
    match task:
        case TaskName.CLASSIFICATION:
            from stages.training.tasks.classification.task import WORK as classification

            return classification
        case TaskName.PARTS:
            from stages.training.tasks.parts.task import WORK as parts

            return parts
        case TaskName.SEGMENTATION:
            from stages.training.tasks.segmentation.task import WORK as segmentation

            return segmentation
        case TaskName.DETECTION:
            from stages.training.tasks.detection.task import WORK as detection

            return detection
        case _:
            assert_never(task)
