"""Pairs of image and caption, ready for training: pixels and token ids in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cache.captions import CaptionedImage, read_captions
from stages.precompute.teacher.clip_images import Pixels, Preprocessing
from stages.precompute.teacher.decoding import Decoder, started_ahead

END_OF_TEXT = "<|endoftext|>"
BATCH_IMAGES = 64
# Words of this share of the images can tell images apart: not all of them, not a handful.
COMMON, RARE = 0.7, 0.005


@dataclass(frozen=True)
class Described:
    """The images of one split of a file of which anything is said, and what else it has, counted."""

    path: Path
    split: str
    items: tuple[CaptionedImage, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Pairs:
    """Pixels (N, S, S, 3) uint8, and the sentences of each image, all ending with a full stop.

    `left_out` counts what of the split cannot be used, by what it is.
    """

    pixels: Tensor
    captions: list[tuple[str, ...]]
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.captions)


def read_described(path: Path, split: str) -> Described:
    """Read the images of a split without decoding them. Raises ValueError if nothing is said of any."""
    items = list(read_captions(path, split))
    described = tuple(item for item in items if sentences(item.captions))
    left_out = {
        "empty captions": sum(len(i.captions) - len(sentences(i.captions)) for i in items),
        "images of which nothing is said": len(items) - len(described),
    }
    found = Described(path, split, described, left_out)
    if not described:
        raise ValueError(_no_usable_image(found, left_out))
    return found


def load_pairs(described: Described, preprocessing: Preprocessing, workers: int) -> Pairs:
    """Decode all images once; those that cannot be decoded are left out and counted.

    Raises ValueError if none is left, and OSError naming an image that could not be tried now.
    """
    pixels: list[Pixels] = []
    captions: list[tuple[str, ...]] = []
    with Decoder(preprocessing, workers) as decoder:
        started = (
            (batch, decoder.submit([item.image for item in batch], names_of(described.path, batch)))
            for batch in _batches(described.items)
        )
        for batch, pending in started_ahead(started):
            decoded = pending.result()
            pixels.append(decoded.pixels[decoded.valid])
            captions += [
                sentences(item.captions)
                for item, usable in zip(batch, decoded.valid, strict=True)
                if usable
            ]
    undecoded = len(described.items) - len(captions)
    left_out = {**described.left_out, "images that cannot be decoded": undecoded}
    if not captions:
        raise ValueError(_no_usable_image(described, left_out))
    return Pairs(torch.from_numpy(np.concatenate(pixels)), captions, left_out)


def counted(left_out: Mapping[str, int]) -> str:
    """Write what was left out, such as `empty captions: 2, images that cannot be decoded: 1`."""
    return ", ".join(f"{what}: {count}" for what, count in left_out.items() if count)


def names_of(path: Path, items: Sequence[CaptionedImage]) -> list[str]:
    """How an error names each image of a captions file."""
    return [f"{path}: {f'{item.scene_id} frame {item.frame_index}'.strip()}" for item in items]


def _no_usable_image(described: Described, left_out: Mapping[str, int]) -> str:
    has = counted(left_out) or "it has no image"
    return f"{described.path}: no usable image of split {described.split}; {has}"


def _batches(items: Sequence[CaptionedImage]) -> list[Sequence[CaptionedImage]]:
    return [items[n : n + BATCH_IMAGES] for n in range(0, len(items), BATCH_IMAGES)]


def sentences(captions: Sequence[str]) -> tuple[str, ...]:
    """Captions that say anything, each with the full stop at which the official inference ends one."""
    texts = (" ".join(caption.replace(".", " ").split()) for caption in captions)
    return tuple(f"{text}." for text in texts if text)


def train_tokenizer(captions: Sequence[tuple[str, ...]], vocabulary: int) -> Any:
    """Train a byte-level BPE tokenizer, GPT-2's kind, on captions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END_OF_TEXT],
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for texts in captions for text in texts), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT)


def telling_words(captions: Sequence[tuple[str, ...]]) -> list[str]:
    """Words that some images' captions have and others' do not, sorted."""
    counts = Counter(word for texts in captions for word in _words(texts))
    total = len(captions)
    return sorted(word for word, n in counts.items() if RARE * total <= n <= COMMON * total)


def word_presence(captions: Sequence[tuple[str, ...]], words: Sequence[str]) -> Tensor:
    """Say which words each image's captions have, (N, W) float."""
    index = {word: column for column, word in enumerate(words)}
    present = torch.zeros(len(captions), len(words))
    for row, texts in enumerate(captions):
        for word in _words(texts) & index.keys():
            present[row, index[word]] = 1
    return present


def _words(texts: Sequence[str]) -> set[str]:
    return {word.strip(".,").lower() for text in texts for word in text.split()}
