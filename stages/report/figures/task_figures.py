"""Figures of a downstream run: confusions, shapes in their parts' colours, scenes, boxes."""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from cache.commit import commit, partial_path
from cache.runs import read_shown
from cache.scannet_classes import SCANNET
from stages.report.figures.box_figure import draw_boxes
from stages.report.figures.scene_figure import draw_scenes
from stages.report.figures.scene_view import view_boxes, view_classes

MAX_SHAPES = 6
COLUMNS = ("true", "predicted", "wrong")


def draw_task_figures(run: Path) -> list[Path]:
    """Draw what a finished run's result holds, beside it: pictures, and pages to turn scenes in.

    What is there already is left. No pictures without matplotlib, no pages without plotly; both are
    optional. Returns what was drawn.
    """
    final = json.loads((run / "result.json").read_text())["final"] | read_shown(run)
    wanted = _pictures(final) if find_spec("matplotlib") else {}
    wanted |= _pages(final) if find_spec("plotly") else {}
    return [draw(run / name) for name, draw in wanted.items() if not (run / name).exists()]


def _pages(final: Mapping[str, Any]) -> dict[str, Callable[[Path], Path]]:
    """What draws each page, by its file's name."""
    pages: dict[str, Callable[[Path], Path]] = {}
    if boxes := final.get("boxes"):
        pages["boxes.html"] = lambda file: view_boxes(boxes, _classes(final), file)
    if scenes := final.get("scenes"):
        pages["scenes.html"] = lambda file: view_classes(scenes, _classes(final), file)
    return pages


def _classes(final: Mapping[str, Any]) -> Sequence[str]:
    """Names of a task's classes; detections once left them out."""
    return final.get("classes", SCANNET.detection.names)


def _pictures(final: Mapping[str, Any]) -> dict[str, Callable[[Path], Path]]:
    """What draws each picture, by its file's name."""
    pictures: dict[str, Callable[[Path], Path]] = {}
    if "confusion" in final:
        pictures["confusion.png"] = lambda file: _save(_confusion(final), file)
    if boxes := final.get("boxes"):
        pictures["boxes.png"] = lambda file: draw_boxes(boxes, _classes(final), file)
    if scenes := final.get("scenes"):
        pictures["scenes.png"] = lambda file: draw_scenes(scenes, _classes(final), file)
    if "shapes" in final:
        pictures["parts.png"] = lambda file: _save(_parts(final["shapes"]), file)
    return pictures


def _confusion(final: Mapping[str, Any]) -> Any:
    from matplotlib.figure import Figure

    counts = np.array(final["confusion"], float)
    seen = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    names = [name for name, is_seen in zip(final["classes"], seen, strict=True) if is_seen]
    counts = counts[np.ix_(seen, seen)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 0.28 * len(names) + 2)
    figure = Figure(figsize=(side, side), layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.6 else "black"
        axis.text(
            column,
            row,
            str(int(counts[row, column])),
            ha="center",
            va="center",
            fontsize=6,
            color=color,
        )
    axis.set_title(f"accuracy {final['val_accuracy']:.3f}, last epoch", fontsize=10)
    return figure


def _parts(shown: Mapping[str, Any]) -> Any:
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    colors = ListedColormap(["#3b6fb6", "#e8833a", "#4da34d", "#b5403c", "#8d6bb0", "#d9b13b"])
    count = min(MAX_SHAPES, len(shown["points"]))
    figure = Figure(figsize=(7.5, 2.3 * count), layout="constrained")
    axes = figure.subplots(count, 3, squeeze=False, subplot_kw={"projection": "3d"})
    for number in range(count):
        points = np.array(shown["points"][number]) / 1000
        true, predicted = (np.array(shown[key][number]) for key in ("true", "predicted"))
        first = true.min()
        for axis, title in zip(axes[number], COLUMNS, strict=True):
            axis.set_axis_off()
            axis.set_box_aspect((1, 1, 1), zoom=1.5)
            axis.view_init(elev=20, azim=-60)
            for limits in (axis.set_xlim, axis.set_ylim, axis.set_zlim):
                limits(-0.8, 0.8)
            # ShapeNet's y is up.
            x, y, z = points[:, 0], -points[:, 2], points[:, 1]
            if title == "wrong":
                axis.scatter(x, y, z, s=2, c=np.where(true == predicted, "#d8d8d8", "#c01818"))
            else:
                values = (true if title == "true" else predicted) - first
                axis.scatter(
                    x, y, z, s=2, c=values % colors.N, cmap=colors, vmin=0, vmax=colors.N - 1
                )
            name = shown["category"][number]
            axis.set_title(f"{name}, {title}" if title == "true" else title, fontsize=9)
    return figure


def _save(figure: Any, file: Path) -> Path:
    with partial_path(file) as partial:
        figure.savefig(partial, dpi=110, format="png")
        commit(partial, file)
    return file
