"""Sizes from markers agree with a decoder's, and cut-off images are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from stages.sources.images import image_size

PIXELS = np.random.default_rng(0).integers(0, 255, (37, 61, 3), np.uint8)


def encode(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encode("JPEG"),
        encode("JPEG", progressive=True),
        encode("JPEG", subsampling=0, quality=100, dpi=(300, 300)),
        encode("JPEG", exif=b"Exif\0\0" + bytes(500), icc_profile=bytes(3000)),
        encode("JPEG") + bytes(3),
        encode("PNG"),
    ],
    ids=["baseline", "progressive", "4:4:4", "segments", "padded", "png"],
)
def test_size_without_decoding(data: bytes) -> None:
    assert image_size(data) == (61, 37)
    if data[-1]:
        with pytest.raises(ValueError, match="cut off"):
            image_size(data[:-1])


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0\xff\xff\xff\xd9"]
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"neither|states no size"):
        image_size(data)
