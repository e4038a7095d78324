"""How a cloud must be shown to a network; it travels with the weights, in a checkpoint's `model`."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from stages.geometry.normalise import Normalisation, frame_of
from stages.settings import Settings


class CloudInput(Settings):
    """What a network takes: how many points, centred and scaled how, in which frame.

    `frame` is the camera's (x right, y down, z forward), `gravity` (z up, y level ahead), `aligned`
    (a whole scene, z up) or `object`. A network that normalises by itself takes `metric`.
    """

    num_points: int = Field(ge=1)
    normalisation: Normalisation
    frame: Literal["camera", "gravity", "aligned", "object"]

    def shown(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bring drawn points (B, N, 3) to what the network is given: those, and the way back.

        Returns points (B, N, 3), middle (B, 1, 3) and radius (B, 1, 1), see `normalise.frame_of`.
        """
        middle, radius = frame_of(points, self.normalisation)
        return (points - middle) / radius, middle, radius


def object_input(num_points: int) -> CloudInput:
    """Of networks on objects, which have no metres."""
    return CloudInput(num_points=num_points, normalisation="unit_sphere", frame="object")


def scene_input(num_points: int) -> CloudInput:
    """Of networks on whole scenes, which normalise by themselves: boxes are in metres."""
    return CloudInput(num_points=num_points, normalisation="metric", frame="aligned")
