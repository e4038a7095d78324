"""How a cloud must be shown to a network; it travels with the weights, in a checkpoint's `model`."""

from typing import Literal

from pydantic import Field

from stages.settings import Settings

Normalisation = Literal["unit_sphere", "center", "metric"]  # see stages.geometry.normalise


class CloudInput(Settings):
    """What a network takes: how many points, centred and scaled how, in which frame.

    `frame` is the camera's (x right, y down, z forward), `gravity` (z up, y level ahead), `aligned`
    (a whole scene, z up) or `object`. A network that normalises by itself takes `metric`.
    """

    num_points: int = Field(ge=1)
    normalisation: Normalisation
    frame: Literal["camera", "gravity", "aligned", "object"]


def object_input(num_points: int) -> CloudInput:
    """Of networks on objects, which have no metres."""
    return CloudInput(num_points=num_points, normalisation="unit_sphere", frame="object")


def scene_input(num_points: int) -> CloudInput:
    """Of networks on whole scenes, which normalise by themselves: boxes are in metres."""
    return CloudInput(num_points=num_points, normalisation="metric", frame="aligned")
