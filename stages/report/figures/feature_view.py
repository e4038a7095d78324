"""A page to turn clouds in, in the colours of their features: alike colours are alike features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.figures.scene_view import Choice, write_page

MAX_POINTS = 20_000


@dataclass(frozen=True)
class Seen:
    """A cloud's points (P, 3), their features (P, C), and the centres (G, 3) of its patches."""

    name: str
    points: NDArray[np.float32]
    features: NDArray[np.float32]
    centers: NDArray[np.float32]


def view_features(clouds: Sequence[Seen], file: Path, *, frame: str) -> Path:
    """Write a page with all clouds, a choice each; Plotly and all data are inside it.

    Colours are the three main directions of all clouds' features together, so that what is alike in two
    clouds has one colour in both. `frame` is the one that the student takes: a camera's is shown upright.
    """
    import plotly.graph_objects as go

    thinned = [_thinned(cloud) for cloud in clouds]
    colors = principal_colors([cloud.features for cloud in thinned])
    choices: list[Choice] = []
    for cloud, color in zip(thinned, colors, strict=True):
        traces = [
            _scatter(
                go,
                _upright(cloud.points, frame),
                [f"rgb({r},{g},{b})" for r, g, b in color.tolist()],
                2,
                "points",
            ),
            _scatter(go, _upright(cloud.centers, frame), "black", 3, "patches' centres"),
        ]
        choices.append((cloud.name, traces))
    return write_page(go, choices, file)


def principal_colors(features: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint8]]:
    """A colour (P, 3) for each row of each cloud's features (P, C), by their principal components."""
    together = np.concatenate(features).astype(np.float64)
    middle = together.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((together - middle).T))
    along = (together - middle) @ vectors[:, ::-1][:, :3]
    low, high = np.percentile(along, (2, 98), axis=0)
    shares = ((along - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
    colors = (40 + 215 * shares).astype(np.uint8)
    return np.split(colors, np.cumsum([len(own) for own in features])[:-1])


def _upright(points: NDArray[np.float32], frame: str) -> NDArray[np.float32]:
    """Points (P, 3) with z up: a camera's y is down, and its z ahead."""
    if frame != "camera":
        return points
    return points[:, [0, 2, 1]] * np.array([1, 1, -1], np.float32)


def _thinned(cloud: Seen) -> Seen:
    if len(cloud.points) <= MAX_POINTS:
        return cloud
    kept = np.random.default_rng(0).choice(len(cloud.points), MAX_POINTS, replace=False)
    return Seen(cloud.name, cloud.points[kept], cloud.features[kept], cloud.centers)


def _scatter(go: Any, points: NDArray[np.float32], color: Any, size: int, name: str) -> Any:
    x, y, z = points.T
    marker = {"size": size, "color": color}
    return go.Scatter3d(x=x, y=y, z=z, mode="markers", name=name, marker=marker, hoverinfo="skip")
