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
from stages.precompute.clip_images import Preprocessing
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
    """Decode all images of a split once; those that cannot be decoded are left out and counted.

    Raises ValueError if none is left.
    """
    pixels, captions, invalid = [], [], 0
    with Decoder(preprocessing, workers) as decoder:
        started = [
            (batch, decoder.submit([item.image for item in batch]))
            for batch in _batches(list(read_captions(path, split)))
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
                tuple(_sentence(caption) for caption in item.captions)
                for item, usable in zip(batch, valid, strict=True)
                if usable
            ]
            invalid += int((~valid).sum())
    if not captions:
        raise ValueError(f"{path}: no usable image of split {split}")
    return Pairs(torch.from_numpy(np.concatenate(pixels)), captions, invalid)


def _batches(items: list[CaptionedImage]) -> list[list[CaptionedImage]]:
    return [items[n : n + BATCH_IMAGES] for n in range(0, len(items), BATCH_IMAGES)]


def _sentence(caption: str) -> str:
    """The official inference ends a caption at the first full stop, so each must have one."""
    text = " ".join(caption.replace(".", " ").split())
    return f"{text}."


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
