"""Pixels are OpenAI CLIP's, bit for bit, for odd pictures too."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.precompute.clip_images import Preprocessing, decode_or_none
from stages.precompute.decoding import Decoder, DecodingError
from tests.conftest import golden_files

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


def bad_images() -> list[bytes]:
    good = jpeg(64, 48)
    # A header that states a size far beyond any camera's, and a cut in the middle.
    huge = good.replace((48).to_bytes(2, "big") + (64).to_bytes(2, "big"), b"\xff\xff\xff\xff")
    return [b"", b"nothing", good[:-40], huge, good[:200] + good[-2:]]


@pytest.mark.parametrize("bad", bad_images(), ids=["empty", "text", "cut", "huge", "hollow"])
def test_what_does_not_decode_is_none(bad: bytes) -> None:
    assert decode_or_none(CLIP, bad) is None


def test_a_picture_that_is_a_line_would_be_huge_once_resized() -> None:
    """16000 x 1: its short side to 224 pixels would make the long one 3.6 million, 800 million in all."""
    line = jpeg(16_000, 1)
    assert len(line) < 10_000
    assert CLIP.resized_pixels(16_000, 1) > 7e8
    assert decode_or_none(CLIP, line) is None
    assert decode_or_none(replace(CLIP, crop="squash"), line) is not None
    assert decode_or_none(CLIP, jpeg(2000, 40)) is not None


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_what_is_not_the_images_fault_is_not_its_answer(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(Preprocessing, "__call__", failing)
    with pytest.raises(type(error)):
        decode_or_none(CLIP, jpeg(20, 20))
    if isinstance(error, MemoryError):
        with (
            Decoder(CLIP, 0) as decoder,
            pytest.raises(DecodingError, match=r"image 0 .* no memory"),
        ):
            decoder.submit([jpeg(20, 20)]).result()


class Any8:
    """Preprocessing that takes all sizes."""

    size = 8

    def resized_pixels(self, width: int, height: int) -> int:
        return 64


class Crash(Any8):
    """Preprocessing that dies, as a broken decoder would, on one kind of picture."""

    def __call__(self, encoded: bytes) -> np.ndarray:
        import os

        if encoded.startswith(jpeg(30, 30)[:200]) and len(encoded) == len(jpeg(30, 30)):
            os._exit(9)
        return np.full((8, 8, 3), 7, np.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_keep_their_order(workers: int) -> None:
    images = [jpeg(20 + n, 30) for n in range(40)]
    images[5] = b"nothing"
    small = Preprocessing(16, "center", CLIP.mean, CLIP.std)
    with Decoder(small, workers) as decoder:
        first, second = decoder.submit(images), decoder.submit(images[:3])
        pixels, valid = first.result()
        assert second.result()[0].shape == (3, 16, 16, 3)
    assert valid.tolist() == [n != 5 for n in range(40)]
    np.testing.assert_array_equal(pixels[7], small(images[7]))
    assert not pixels[5].any()


def test_a_decoder_that_dies_fails_its_batch_and_names_the_image() -> None:
    images = [jpeg(20, 20), jpeg(30, 30), jpeg(40, 40)]
    with Decoder(Crash(), 1) as decoder:  # type: ignore[arg-type]
        with pytest.raises(DecodingError, match=r"image 1 of its batch: the process .* died"):
            decoder.submit(images).result()
        assert decoder.submit(images[:1]).result()[1].tolist() == [True]


class CrashOnce(Any8):
    """Preprocessing that is killed once, as by a machine short of memory."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __call__(self, encoded: bytes) -> np.ndarray:
        import os

        if not self.flag.exists():
            self.flag.touch()
            os._exit(9)
        return np.full((8, 8, 3), 7, np.uint8)


def test_a_decoder_that_died_once_costs_nothing(tmp_path: Path) -> None:
    with Decoder(CrashOnce(tmp_path / "once"), 1) as decoder:  # type: ignore[arg-type]
        _, valid = decoder.submit([jpeg(20, 20), jpeg(30, 30)]).result()
    assert valid.tolist() == [True, True]
