"""Pixels are OpenAI CLIP's, bit for bit, for odd pictures too."""

import errno
import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stages.precompute.teacher.clip_images import Preprocessing
from tests.conftest import REPOSITORY, golden_files

CLIP = Preprocessing(
    224, "center", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
)
FACTS = json.loads(golden_files("clip_preprocess/golden.json")[0].read_text())
PICTURES = [
    file for pattern in ("*.jpg", "*.png") for file in golden_files(f"clip_preprocess/{pattern}")
]


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.name)
def test_pixels_are_openai_clips(file) -> None:
    (fact,) = [fact for fact in FACTS["images"] if fact["file"] == file.name]
    pixels = CLIP(file.read_bytes())
    assert pixels.shape == (224, 224, 3)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == fact["sha256_crop_u8"]


def test_odd_modes_are_those_of_open_clip() -> None:
    """Palette, alpha, grey, CMYK and a picture thinner than the crop: torchvision is the judge."""
    from open_clip.transform import image_transform

    theirs = image_transform(224, is_train=False, mean=CLIP.mean, std=CLIP.std)
    generator = np.random.default_rng(0)
    for mode, size in (("P", (300, 260)), ("RGBA", (100, 333)), ("L", (224, 500)),
                       ("CMYK", (640, 481)), ("1", (225, 224)), ("RGB", (1000, 40))):  # fmt: skip
        noise = generator.integers(0, 256, (size[1], size[0], 3), np.uint8)
        image = Image.fromarray(noise).convert(mode)
        ours = CLIP.apply(image)
        scaled = (ours / 255 - np.array(CLIP.mean)) / np.array(CLIP.std)
        expected = theirs(image).numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(scaled, expected, atol=1e-6, err_msg=mode)


def test_squash_keeps_the_whole_picture() -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, :10] = 255
    squash = Preprocessing(20, "squash", CLIP.mean, CLIP.std)
    center = Preprocessing(20, "center", CLIP.mean, CLIP.std)
    assert squash.apply(Image.fromarray(wide))[:, 0].min() > 200
    assert center.apply(Image.fromarray(wide)).max() == 0


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def bad_images() -> list[tuple[bytes, str]]:
    good = jpeg(64, 48)
    # A header that states a size far beyond any camera's, and a cut in the middle.
    huge = good.replace((48).to_bytes(2, "big") + (64).to_bytes(2, "big"), b"\xff\xff\xff\xff")
    return [
        (b"", "starts with nothing"),
        (b"nothing", "neither JPEG nor PNG"),
        (good[:-40], "no end marker"),
        (huge, "65535 x 65535 pixels"),
        (good[:200] + good[-2:], "Truncated File Read"),
    ]


@pytest.mark.parametrize(("bad", "why"), bad_images())
def test_what_does_not_decode_says_why(bad: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CLIP(bad)


def test_an_error_of_the_system_is_none_of_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(OSError, match="Too many open files"):
        CLIP(jpeg(8, 8))


LINE = """
import io
from PIL import Image
from tests.stages.precompute.teacher.test_clip_images import CLIP, jpeg

def peak() -> int:
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

CLIP(jpeg(640, 480))
before = peak()
for size in ((16_000, 1), (1, 16_000)):
    try:
        CLIP(jpeg(*size))
    except ValueError as error:
        print(error)
print(peak() - before)
"""


def test_a_picture_that_is_a_line_takes_no_memory() -> None:
    """16000 x 1: with its short side at 224 pixels, the long one would be 3.6 million."""
    done = subprocess.run(
        [sys.executable, "-c", LINE], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    wide, tall, megabytes = done.stdout.splitlines()
    assert wide.startswith("16000 x 1 pixels would be 3584000 x 224 before")
    assert tall.startswith("1 x 16000 pixels would be 224 x 3584000 before")
    assert int(megabytes) < 100
    assert replace(CLIP, crop="squash")(jpeg(16_000, 1)).shape == (224, 224, 3)
    assert CLIP(jpeg(16_000, 40)).shape == (224, 224, 3)
