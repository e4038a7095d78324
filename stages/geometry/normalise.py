"""The one way a cloud is centred and scaled, for every stage and network.

- `unit_sphere`: minus its mean, divided by its largest norm, as ModelNet's loaders do;
- `center`: minus its mean, still metres;
- `metric`: as it is, metres in its own frame.
"""

from torch import Tensor

from stages.geometry.cloud_input import Normalisation


def frame_of(points: Tensor, how: Normalisation) -> tuple[Tensor, Tensor]:
    """The middle (B, 1, 3) and the radius (B, 1, 1) by which clouds (B, N, 3) are normalised.

    `(points - middle) / radius` is the normalised cloud, `places * radius + middle` the way back.
    """
    middle, radius = points.new_zeros(len(points), 1, 3), points.new_ones(len(points), 1, 1)
    if how != "metric":
        middle = points.mean(dim=1, keepdim=True)
    if how == "unit_sphere":
        radius = (points - middle).norm(dim=-1).amax(dim=1).clamp(min=1e-9)[:, None, None]
    return middle, radius


def normalise(points: Tensor, how: Normalisation) -> Tensor:
    """Centre and scale clouds (B, N, 3)."""
    middle, radius = frame_of(points, how)
    return (points - middle) / radius
