"""Image bytes to the pixels that CLIP sees, exactly as OpenAI's `clip.load` prepares them.

Pillow decodes and resizes; no torch here, so that decoding processes start quickly.
"""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.sources.images import image_size

MAX_PIXELS = 1 << 26
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
        """Decode, resize, crop, convert to RGB: (size, size, 3). Raises ValueError if it cannot."""
        with Image.open(io.BytesIO(encoded)) as image:
            return self.apply(image)

    def resized_pixels(self, width: int, height: int) -> int:
        """How many pixels a picture of a size has before its middle is cut out: many if it is a line."""
        if self.crop == "squash":
            return self.size * self.size
        return self.size * self.size * max(width, height) // min(width, height)

    def apply(self, image: Image.Image) -> Pixels:
        """Resize, crop and convert to RGB, in this order, which matters for palettes and alpha.

        Sizes and offsets are those of torchvision's Resize and CenterCrop, which OpenAI's CLIP
        (clip/clip.py, `_transform`) uses; EXIF orientation is ignored, as there.
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
            image = image.resize(sides, how)
        # Python's round: half to even.
        left, top = (round((side - self.size) / 2.0) for side in image.size)
        cut = image.crop((left, top, left + self.size, top + self.size))
        return np.asarray(cut.convert("RGB"))


def decode_or_none(preprocessing: Preprocessing, encoded: bytes) -> Pixels | None:
    """Preprocess one image; None if it is corrupt, cut off, or absurdly large, also once resized.

    Raises MemoryError, and OSError if it is the system's: neither is the image's fault.
    """
    try:
        width, height = image_size(encoded)
        if max(width * height, preprocessing.resized_pixels(width, height)) > MAX_PIXELS:
            return None
        return preprocessing(encoded)
    except OSError as error:
        if error.errno is not None:  # Pillow's own, of a corrupt image, have no number
            raise
        return None
    except (ValueError, SyntaxError, Image.DecompressionBombError):
        return None
