"""The tasks' names."""

from typing import Literal

TaskName = Literal["classification", "parts", "detection", "segmentation"]
