"""A page to turn scenes in: boxes, or the colours of classes. Plotly and all data are inside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.commit import commit, partial_path
from stages.report.figures.box_figure import EDGES, corners_of
from stages.report.figures.palette import class_colors
from stages.report.figures.scene_figure import COLUMNS, scene_colors

Choice = tuple[str, list[Any]]  # what a button says, and the traces that it shows


def view_boxes(shown: Sequence[Mapping[str, Any]], names: Sequence[str], file: Path) -> Path:
    """Write a page of scenes with boxes, true thick, predicted thin; the legend switches either off.

    `names` are what the classes are called.
    """
    import plotly.graph_objects as go

    choices: list[Choice] = []
    for scene in shown:
        points = np.array(scene["points"], np.float32) / np.float32(100)
        traces = [_points(go, points, "rgb(150,155,163)", "points")]
        for kind, width in (("true", 6), ("predicted", 2)):
            traces.append(_boxes(go, scene, kind, width, names))
        choices.append((scene["scene"], traces))
    return write_page(go, choices, file)


def view_classes(shown: Sequence[Mapping[str, Any]], names: Sequence[str], file: Path) -> Path:
    """Write a page of scenes in the colours of their classes: true, predicted, and what is wrong."""
    import plotly.graph_objects as go

    choices: list[Choice] = []
    for scene in shown:
        points = np.array(scene["points"], np.float32) / np.float32(100)
        for column in COLUMNS:
            label = scene["true" if column == "true" else "predicted"]
            said = [names[number] if number >= 0 else "not annotated" for number in label]
            trace = _points(go, points, scene_colors(scene, column, names), column, said)
            choices.append((f"{scene['scene']}, {column}", [trace]))
    return write_page(go, choices, file)


def _points(
    go: Any,
    points: NDArray[Any],
    colors: NDArray[np.uint8] | str,
    name: str,
    said: list[str] | None = None,
) -> Any:
    """Points in one colour, or each in its own of the few there are."""
    marker: dict[str, Any] = {"size": 1.8, "color": colors}
    if not isinstance(colors, str):
        used, number = np.unique(colors, axis=0, return_inverse=True)
        steps = np.linspace(0, 1, len(used)) if len(used) > 1 else np.array([0.0])
        scale = list(zip(steps.tolist(), _css(used), strict=True))
        scale = scale if len(used) > 1 else [(0.0, scale[0][1]), (1.0, scale[0][1])]
        marker |= {"color": number, "colorscale": scale, "cmin": 0, "cmax": max(1, len(used) - 1)}
    x, y, z = points.T
    return go.Scatter3d(
        x=x, y=y, z=z, mode="markers", name=name, marker=marker, text=said,
        hoverinfo="text" if said else "skip",
    )  # fmt: skip


def _boxes(
    go: Any,
    scene: Mapping[str, Any],
    kind: str,
    width: int,
    names: Sequence[str],
) -> Any:
    """All boxes of a scene as one broken line."""
    x: list[Any] = []
    y: list[Any] = []
    z: list[Any] = []
    colors, said, palette = [], [], _css(class_colors(names))
    for box, label in zip(scene[kind], scene[f"{kind}_class"], strict=True):
        corners = corners_of(np.array(box) / 100)
        color = palette[label]
        for edge in EDGES:
            for values, axis in ((x, 0), (y, 1), (z, 2)):
                values += [corners[edge[0], axis], corners[edge[1], axis], None]
            colors += [color] * 3
            said += [f"{names[label]}, {kind}"] * 3
    line = {"color": colors, "width": width}
    return go.Scatter3d(
        x=x, y=y, z=z, mode="lines", name=kind, line=line, text=said, hoverinfo="text"
    )


def _css(colors: NDArray[np.uint8]) -> list[str]:
    return [f"rgb({red},{green},{blue})" for red, green, blue in colors.tolist()]


def write_page(go: Any, choices: list[Choice], file: Path) -> Path:
    """One page, with a menu of the choices, the first one shown."""
    traces = [trace for _, own in choices for trace in own]
    owner = np.repeat(np.arange(len(choices)), [len(own) for _, own in choices])
    for number, trace in zip(owner, traces, strict=True):
        trace.visible = bool(number == 0)
    buttons = [
        {"label": name, "method": "update", "args": [{"visible": (owner == number).tolist()}]}
        for number, (name, _) in enumerate(choices)
    ]
    hidden = {"visible": False}
    figure = go.Figure(traces)
    figure.update_layout(
        scene={
            "aspectmode": "data",
            "xaxis": hidden,
            "yaxis": hidden,
            "zaxis": hidden,
            "camera": {"eye": {"x": 0.9, "y": -1.1, "z": 1.3}},
        },
        updatemenus=[{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top"}],
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        legend={"x": 1, "xanchor": "right", "y": 0.92},
    )
    with partial_path(file) as partial:
        figure.write_html(partial, include_plotlyjs=True, full_html=True, default_height="97vh")
        commit(partial, file)
    return file
