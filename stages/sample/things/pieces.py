"""What rooms are made of: a piece is a label and parts, a part a mesh with colour and finish."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stages.geometry.meshes import Floats, Mesh
from stages.sample.things.primitives import merged

Color = tuple[float, float, float]

# How a surface varies over position; `stages.sample.rendering.shading` says what each looks like.
FINISHES = ("plain", "wood", "fabric", "tiles", "planks", "carpet", "glass", "books", "picture")

_WOODS: tuple[Color, ...] = (
    (0.62, 0.44, 0.26), (0.45, 0.28, 0.16), (0.76, 0.60, 0.40), (0.30, 0.19, 0.12),
    (0.88, 0.86, 0.82), (0.55, 0.36, 0.22), (0.17, 0.15, 0.14),
)  # fmt: skip
_FABRICS: tuple[Color, ...] = (
    (0.55, 0.12, 0.12), (0.16, 0.24, 0.45), (0.22, 0.38, 0.24), (0.72, 0.66, 0.55),
    (0.35, 0.35, 0.38), (0.80, 0.55, 0.20), (0.40, 0.22, 0.42), (0.82, 0.80, 0.76),
    (0.20, 0.42, 0.48), (0.14, 0.14, 0.16),
)  # fmt: skip
_METALS: tuple[Color, ...] = ((0.72, 0.73, 0.75), (0.30, 0.31, 0.33), (0.85, 0.84, 0.80))
WHITE: Color = (0.92, 0.92, 0.90)
BLACK: Color = (0.10, 0.10, 0.11)


@dataclass(frozen=True)
class Part:
    """One surface of a piece; `name` is what part segmentation calls it."""

    name: str
    mesh: Mesh
    color: Color
    finish: str = "plain"


@dataclass(frozen=True)
class Piece:
    """A thing in its own frame: z up, its front towards -y, standing at z = 0, middle at x = y = 0.

    `label` is a raw category of ScanNet's label table. `top_m` is the height at which small things
    can stand on it, None if they cannot.
    """

    label: str
    parts: tuple[Part, ...]
    top_m: float | None = None

    @property
    def mesh(self) -> Mesh:
        """All parts as one mesh."""
        return merged([part.mesh for part in self.parts])

    @property
    def bounds(self) -> Floats:
        """Lowest and highest corner, (2, 3) metres."""
        vertices = np.concatenate([part.mesh.vertices for part in self.parts])
        return np.stack([vertices.min(0), vertices.max(0)])

    @property
    def size(self) -> Floats:
        """Width, depth, height in metres, (3,)."""
        low, high = self.bounds
        return high - low


Builder = Callable[[np.random.Generator], Piece]


def wood(generator: np.random.Generator) -> Color:
    """A wood or a painted board."""
    return _vary(_WOODS, generator)


def cloth(generator: np.random.Generator) -> Color:
    """A fabric."""
    return _vary(_FABRICS, generator)


def metal(generator: np.random.Generator) -> Color:
    """Steel, dark steel or enamel."""
    return _vary(_METALS, generator)


def _vary(colors: Sequence[Color], generator: np.random.Generator) -> Color:
    color = colors[int(generator.integers(len(colors)))]
    varied = np.array(color) * generator.uniform(0.8, 1.15) + generator.normal(0, 0.01, 3)
    red, green, blue = np.clip(varied, 0.03, 0.97)
    return float(red), float(green), float(blue)
