"""Which part of an image a teacher sees, and where in its pixels: CLIP's resize and crop as numbers.

Sizes and offsets are those of torchvision's Resize and CenterCrop, which OpenAI's CLIP (clip/clip.py,
`_transform`) uses: the long side is truncated, the offset rounded half to even.
"""

from dataclasses import dataclass
from typing import Literal

Crop = Literal["center", "squash"]


@dataclass(frozen=True)
class TeacherWindow:
    """A picture resized to (width, height), of which `size` x `size` pixels from (left, top) on are seen."""

    width: int
    height: int
    left: int
    top: int
    size: int

    def within(self, width: int, height: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """The middle (x, y) and half the extent of what is seen, in pixels of the picture as it was.

        Pixel centres are at integers, so that a picture's edges are at -0.5 and width - 0.5.
        """
        scale = width / self.width, height / self.height
        half = self.size * scale[0] / 2, self.size * scale[1] / 2
        middle = (
            self.left * scale[0] + half[0] - 0.5,
            self.top * scale[1] + half[1] - 0.5,
        )
        return middle, half


def teacher_window(width: int, height: int, size: int, crop: Crop) -> TeacherWindow:
    """The window of a teacher of `size` pixels: `center` cuts the middle out, `squash` resizes both sides."""
    if crop == "squash":
        return TeacherWindow(size, size, 0, 0, size)
    if width <= height:
        sides = size, int(size * height / width)
    else:
        sides = int(size * width / height), size
    left, top = (round((side - size) / 2.0) for side in sides)  # Python's: half to even
    return TeacherWindow(*sides, left, top, size)
