"""Pairs of image and caption, ready for training: pixels and token ids in memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cache.captions import CaptionedImage, read_captions
from stages.precompute.clip_images import Pixels, Preprocessing
from stages.precompute.decoding import Decoder, DecodingError

END_OF_TEXT = "<|endoftext|>"
BATCH_IMAGES = 64
# Words of this share of the images can tell images apart: not all of them, not a handful.
COMMON, RARE = 0.7, 0.005


@dataclass(frozen=True)
class Pairs:
    """Pixels (N, S, S, 3) uint8, and the sentences of each image, all ending with a full stop."""

    pixels: Tensor
    captions: list[tuple[str, ...]]
    num_invalid: int

    def __len__(self) -> int:
        """The number of images."""
        return len(self.captions)


def load_pairs(path: Path, split: str, preprocessing: Preprocessing, workers: int) -> Pairs:
    """Decode all images of a split once.

    Empty captions are left out. Images that cannot be decoded, or of which nothing is said, are left
    out and counted. Raises ValueError if none is left, and OSError if one could not be tried now.
    """
    pixels: list[Pixels] = []
    captions: list[tuple[str, ...]] = []
    items = list(read_captions(path, split))
    described = [item for item in items if _sentences(item)]
    invalid = len(items) - len(described)
    with Decoder(preprocessing, workers) as decoder:
        started = [
            (batch, decoder.submit([item.image for item in batch])) for batch in _batches(described)
        ]
        for batch, pending in started:
            try:
                decoded, valid = pending.result()
            except DecodingError as error:
                item = batch[error.index]
                where = f"{path}: {item.scene_id} frame {item.frame_index}"
                raise OSError(f"{where}: {error.why}; run the same command again") from None
            pixels.append(decoded[valid])
            captions += [
                _sentences(item) for item, usable in zip(batch, valid, strict=True) if usable
            ]
            invalid += int((~valid).sum())
    if not captions:
        raise ValueError(
            f"{path}: no usable image of split {split}, one that decodes and that something is said of"
        )
    return Pairs(torch.from_numpy(np.concatenate(pixels)), captions, invalid)


def _batches(items: list[CaptionedImage]) -> list[list[CaptionedImage]]:
    return [items[n : n + BATCH_IMAGES] for n in range(0, len(items), BATCH_IMAGES)]


def _sentences(item: CaptionedImage) -> tuple[str, ...]:
    """What is said of an image; the official inference ends at the first full stop, so each has one."""
    texts = (" ".join(caption.replace(".", " ").split()) for caption in item.captions)
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
