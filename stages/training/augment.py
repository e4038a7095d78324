"""Points as a network gets them: drawn and augmented; batched, on the points' device."""

import torch
from torch import Tensor

from stages.loop.random_numbers import Draws


def turned(points: Tensor, matrix: Tensor) -> Tensor:
    """Map points (..., N, 3) by matrices (..., K, 3): (..., N, K).

    By sums of products, not a matrix product, which mixed precision would round to centimetres.
    """
    first, second, third = (
        points[..., axis, None] * matrix[..., None, :, axis] for axis in range(3)
    )
    return first + second + third


def draw_points(
    stored: Tensor, num_points: int, draws: Draws, *, wanted: Tensor | None = None
) -> Tensor:
    """Draw distinct ones of the stored points (B, P, 3) of each cloud: (B, N, 3).

    With `wanted` (B, P) bool only those that are; where they are fewer than N, each of them, then
    repeats. A cloud that has no wanted point is taken whole. Raises ValueError if more are asked
    for than are stored.
    """
    count = stored.shape[1]
    if num_points > count:
        raise ValueError(f"{num_points} points asked for, {count} are stored in each frame")
    # Stored points are in the order of pixels. The largest of random numbers are a random subset, and
    # cheaper than a permutation each.
    scores = draws.uniform(count)
    if wanted is not None:
        wanted = wanted | ~wanted.any(dim=1, keepdim=True)
        scores = scores + wanted
    chosen = scores.topk(num_points, dim=1).indices
    if wanted is not None:
        repeated = torch.arange(num_points, device=stored.device) % wanted.sum(dim=1, keepdim=True)
        chosen = chosen.gather(1, repeated)
    return stored.gather(1, chosen[..., None].expand(-1, -1, 3))


def scale_and_translate(
    points: Tensor,
    draws: Draws,
    *,
    scale: tuple[float, float],
    translation: float,
) -> Tensor:
    """Scale each cloud (B, N, 3) by one factor an axis, then shift it (Point-MAE's augmentation)."""
    factor, shift = draws.uniform(2, 1, 3).unbind(1)
    low, high = scale
    return points * (low + (high - low) * factor) + translation * (2 * shift - 1)
