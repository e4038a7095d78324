"""Which image patch belongs to which 3D patch: by projection into what the teacher saw.

Places are in the teacher's window, (0, 0) its left upper corner and (1, 1) its right lower one; its image
patches are a square grid of `side` x `side` cells, row after row.
"""

import torch
from torch import Tensor

from stages.geometry.pointops import outside_graphs
from stages.training.pretraining.cameras import inside_window

# Of the grid in which what is nearer hides what is behind: a few drawn points in each cell.
DEPTH_SIDE = 28


def cells_at(where: Tensor, side: int) -> Tensor:
    """The cell (B, P) of each place (B, P, 2); of places outside the window the nearest one."""
    column, row = (where * side).long().clamp(0, side - 1).unbind(-1)
    return row * side + column


def nearest_patches(
    where: Tensor, seen: Tensor, side: int, reach_cells: float | None
) -> tuple[Tensor, Tensor]:
    """Of each cell the patch (B, side^2) that is projected nearest to its middle, and whether there is one.

    `where` (B, G, 2) are patches' centres, of which `seen` (B, G) count. With `reach_cells` a patch must be
    no further from the middle than so many widths of a cell. Of equally near ones the first.
    """
    steps = (torch.arange(side, device=where.device) + 0.5) / side
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    middles = torch.stack([columns, rows], dim=-1).flatten(0, 1)  # (side^2, 2)
    apart = (where[:, None] - middles[:, None]).square().sum(dim=-1)  # (B, side^2, G)
    nearest = apart.masked_fill(~seen[:, None], torch.inf).min(dim=-1)
    limit = torch.inf if reach_cells is None else (reach_cells / side) ** 2
    return nearest.indices, (nearest.values <= limit) & nearest.values.isfinite()


@outside_graphs
@torch.no_grad()
def hidden(
    where: Tensor, depth: Tensor, all_where: Tensor, all_depth: Tensor, hidden_by: float
) -> Tensor:
    """Which points (B, G) lie behind others of their cloud, as the colour camera sees them: bool.

    A point is hidden if one of all points (B, N), in the same cell of a grid, is nearer by more than the
    share `hidden_by` of its own depth.
    """
    number = DEPTH_SIDE * DEPTH_SIDE
    cell = cells_at(all_where, DEPTH_SIDE)
    counts = inside_window(all_where, all_depth)
    front = torch.full((len(where), number), torch.inf, device=where.device)
    front = front.scatter_reduce(1, cell, all_depth.masked_fill(~counts, torch.inf), "amin")
    nearest = front.gather(1, cells_at(where, DEPTH_SIDE))
    return nearest < (1 - hidden_by) * depth
