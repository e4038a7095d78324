"""Boxes over a scene's points, true beside predicted (the paper's Figure 3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.commit import commit, partial_path
from stages.report.figures.palette import class_colors

KINDS = ("true", "predicted")
EDGES = (
    (0, 1), (1, 3), (3, 2), (2, 0), (4, 5), (5, 7), (7, 6), (6, 4), (0, 4), (1, 5), (2, 6), (3, 7),
)  # fmt: skip


def draw_boxes(shown: Sequence[Mapping[str, Any]], names: Sequence[str], file: Path) -> Path:
    """Draw some scenes from above at a slant, a row each: true boxes left, predicted right."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    colors = class_colors(names) / 255
    figure = Figure(figsize=(11, 4.6 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 2, squeeze=False, subplot_kw={"projection": "3d"})
    for row, scene in zip(axes, shown, strict=True):
        points = np.array(scene["points"]) / 100
        # What is under the ceiling, which would hide the rest.
        low, high = np.percentile(points[:, 2], (1, 99))
        points = points[points[:, 2] <= low + 0.75 * (high - low)]
        extent = np.maximum(np.ptp(points, axis=0), 0.1)
        for axis, kind in zip(row, KINDS, strict=True):
            axis.set_axis_off()
            axis.set_box_aspect(extent, zoom=1.1)
            axis.view_init(elev=50, azim=-60)
            axis.scatter(*points.T, s=2.5, c="#8d929b", linewidths=0)
            boxes = scene[kind]
            for box, label in zip(boxes, scene[f"{kind}_class"], strict=True):
                _draw_box(axis, np.array(box) / 100, colors[label])
            axis.set_title(f"{scene['scene']}: {len(boxes)} {kind}", fontsize=10)
    labels = sorted(
        {label for scene in shown for kind in KINDS for label in scene[f"{kind}_class"]}
    )
    lines = [Line2D([], [], color=colors[n], label=names[n]) for n in labels]
    figure.legend(handles=lines, loc="outside lower center", ncols=9, fontsize=8, frameon=False)
    with partial_path(file) as partial:
        figure.savefig(partial, dpi=100, format="png")
        commit(partial, file)
    return file


def corners_of(box: NDArray[Any]) -> NDArray[Any]:
    """The corners (8, 3) of a box (6,): centre and size."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    return box[:3] + signs * box[3:]


def _draw_box(axis: Any, box: Any, color: Any) -> None:
    corners = corners_of(box)
    for first, second in EDGES:
        axis.plot(*np.stack([corners[first], corners[second]]).T, color=color, linewidth=1.2)
