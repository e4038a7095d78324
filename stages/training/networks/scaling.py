"""How large a scene's cloud is when a network sees it."""

from typing import Literal

from torch import Tensor

Scale = Literal["unit_sphere", "metric"]


def normalised(points: Tensor, kind: Scale) -> Tensor:
    """Centre clouds (B, N, 3) at their mean; `unit_sphere` divides them by their largest norm."""
    points = points - points.mean(dim=1, keepdim=True)
    if kind == "metric":
        return points
    return points / points.norm(dim=-1).amax(dim=1).clamp(min=1e-9)[:, None, None]
