"""Image bytes to the pixels that CLIP sees, exactly as OpenAI's `clip.load` prepares them.

Pillow decodes and resizes; no torch here, so that decoding processes start quickly.
"""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# The plugins now: where one cannot be read later, Pillow says that it does not know the bytes.
from PIL import Image, JpegImagePlugin, PngImagePlugin  # noqa: F401

from stages.geometry.teacher_window import Crop, teacher_window
from stages.sources.images import image_size

MAX_PIXELS = 1 << 26
BYTES_PER_PIXEL = (
    16  # at most, while an image is decoded: a progressive JPEG's coefficients and pixels
)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes (size, size, 3) uint8, and the mean and deviation to normalise with.

    `center` resizes the short side and cuts the middle out; `squash` resizes both sides.
    """

    size: int
    crop: Crop
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"

    def __call__(self, encoded: bytes) -> Pixels:
        """Decode, resize, crop, convert to RGB: (size, size, 3). Raises what `open_image` does."""
        return self.apply(open_image(encoded))

    def apply(self, image: Image.Image) -> Pixels:
        """Resize, crop and convert to RGB, in this order, which matters for palettes and alpha.

        Sizes and offsets are `teacher_window`'s; EXIF orientation is ignored, as in OpenAI's CLIP.
        Raises ValueError if the picture is a line that would be absurdly large once resized.
        """
        how = Image.Resampling[self.interpolation.upper()]
        window = teacher_window(*image.size, self.size, self.crop)
        if window.width * window.height > MAX_PIXELS:
            width, height = image.size
            raise ValueError(
                f"{width} x {height} pixels would be {window.width} x {window.height} before the middle is "
                f"cut out, more than {MAX_PIXELS}"
            )
        if image.size != (window.width, window.height):
            image = image.resize((window.width, window.height), how)
        left, top = window.left, window.top
        cut = image.crop((left, top, left + self.size, top + self.size))
        return np.asarray(cut.convert("RGB"))


def open_image(encoded: bytes) -> Image.Image:
    """Decode an image. Raises ValueError if the bytes are corrupt, cut off or absurdly large.

    MemoryError and OSError say nothing of the bytes: the same bytes may decode another time.
    """
    width, height = image_size(encoded)
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS}")
    try:
        image = Image.open(io.BytesIO(encoded))
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # hostile bytes can raise anything in it
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's, not Pillow's word for a fault of the bytes
        # libjpeg calls an image broken too if it finds no memory: then there is none for this either.
        np.empty(width * height * BYTES_PER_PIXEL, np.uint8)
        raise ValueError(str(error) or type(error).__name__) from None
    return image
