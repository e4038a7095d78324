"""Points as the student gets them: drawn, normalised, augmented; batched, on the points' device."""

from typing import Literal

import torch
from torch import Tensor

Normalisation = Literal["unit_sphere", "center", "metric"]
SCALE, TRANSLATION = (2 / 3, 3 / 2), 0.2


def draw_points(stored: Tensor, num_points: int, generator: torch.Generator | None) -> Tensor:
    """Draw distinct ones of the stored points (B, P, 3) of each cloud: (B, N, 3).

    Without a generator, the first ones: they were stored in random order. Raises ValueError if
    more are asked for than are stored.
    """
    batch, count, _ = stored.shape
    if num_points > count:
        raise ValueError(f"{num_points} points asked for, {count} are stored in each frame")
    if generator is None:
        return stored[:, :num_points]
    # The largest of random numbers are a random subset, and cheaper than a permutation each.
    scores = torch.rand(batch, count, generator=generator, device=stored.device)
    chosen = scores.topk(num_points, dim=1).indices
    return stored.gather(1, chosen[..., None].expand(-1, -1, 3))


def normalise(points: Tensor, how: Normalisation) -> Tensor:
    """Centre clouds (B, N, 3), and scale them into the unit sphere, as ModelNet's loaders do."""
    if how == "metric":
        return points
    centred = points - points.mean(dim=1, keepdim=True)
    if how == "center":
        return centred
    return centred / centred.norm(dim=-1).amax(dim=1).clamp(min=1e-9)[:, None, None]


def scale_and_translate(
    points: Tensor,
    generator: torch.Generator,
    *,
    scale: tuple[float, float] = SCALE,
    translation: float = TRANSLATION,
) -> Tensor:
    """Scale each cloud (B, N, 3) by one factor an axis, then shift it (Point-MAE's augmentation)."""
    shape = (len(points), 1, 3)
    uniform = torch.rand(2, *shape, generator=generator, device=points.device)
    low, high = scale
    return points * (low + (high - low) * uniform[0]) + translation * (2 * uniform[1] - 1)
