"""Scenes in the colours of their classes: true, predicted, and only what is wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.commit import commit, partial_path
from stages.report.figures.palette import UNLABELLED, class_colors

COLUMNS = ("true", "predicted", "wrong")
UNDER_CEILING = 0.75  # of the height; what is above would hide the rest
RIGHT = (216, 219, 224)


def scene_colors(scene: Mapping[str, Any], column: str, names: Sequence[str]) -> NDArray[np.uint8]:
    """A colour (N, 3) for each point: its class, or in `wrong` the predicted one where it is wrong.

    `names` are the classes'. Points that nobody annotated are grey, and never wrong.
    """
    true, predicted = np.array(scene["true"]), np.array(scene["predicted"])
    palette = class_colors(names)
    if column != "wrong":
        return palette[true if column == "true" else predicted]
    colors = np.where((true == predicted)[:, None], RIGHT, palette[predicted])
    return np.where((true < 0)[:, None], UNLABELLED, colors).astype(np.uint8)


def draw_scenes(shown: Sequence[Mapping[str, Any]], names: Sequence[str], file: Path) -> Path:
    """Draw some scenes from above at a slant, a row each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 3, squeeze=False, subplot_kw={"projection": "3d"})
    for row, scene in zip(axes, shown, strict=True):
        points = np.array(scene["points"]) / 100
        low, high = np.percentile(points[:, 2], (1, 99))
        below = points[:, 2] <= low + UNDER_CEILING * (high - low)
        extent = np.maximum(np.ptp(points[below], axis=0), 0.1)
        for axis, column in zip(row, COLUMNS, strict=True):
            axis.set_axis_off()
            axis.set_box_aspect(extent, zoom=1.25)
            axis.view_init(elev=55, azim=-60)
            colors = scene_colors(scene, column, names)[below] / 255
            axis.scatter(*points[below].T, s=4, c=colors, linewidths=0, depthshade=False)
            axis.set_title(
                f"{scene['scene']}: {column}" if column == "true" else column, fontsize=10
            )
    _legend(figure, shown, names)
    with partial_path(file) as partial:
        figure.savefig(partial, dpi=100, format="png")
        commit(partial, file)
    return file


def _legend(figure: Any, shown: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    used = sorted(
        {label for scene in shown for key in ("true", "predicted") for label in scene[key]}
    )
    patches = [
        Patch(color=class_colors(names)[label] / 255, label=names[label])
        for label in used
        if label >= 0
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=10, fontsize=8, frameon=False)
