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

from stages.sources.images import image_size

MAX_PIXELS = 1 << 26
BYTES_PER_PIXEL = (
    16  # at most, while an image is decoded: a progressive JPEG's coefficients and pixels
)
Crop = Literal["center", "squash"]
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

        Sizes and offsets are those of torchvision's Resize and CenterCrop, which OpenAI's CLIP
        (clip/clip.py, `_transform`) uses; EXIF orientation is ignored, as there. Raises ValueError if
        the picture is a line that would be absurdly large once resized.
        """
        how = Image.Resampling[self.interpolation.upper()]
        if self.crop == "squash":
            return np.asarray(image.resize((self.size, self.size), how).convert("RGB"))
        width, height = image.size
        short = min(width, height)
        if short != self.size:
            # The long side is truncated, not rounded.
            sides = (
                (self.size, int(self.size * height / width))
                if width <= height
                else (int(self.size * width / height), self.size)
            )
            if sides[0] * sides[1] > MAX_PIXELS:
                raise ValueError(
                    f"{width} x {height} pixels would be {sides[0]} x {sides[1]} before the middle is "
                    f"cut out, more than {MAX_PIXELS}"
                )
            image = image.resize(sides, how)
        # Python's round: half to even.
        left, top = (round((side - self.size) / 2.0) for side in image.size)
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
