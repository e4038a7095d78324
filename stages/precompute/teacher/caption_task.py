"""The training of a ClipCap as a task of the loop: its network, its losses, its pixels and tokens."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.loop.batch_norm import NormWarmUp
from stages.loop.random_numbers import Draws
from stages.loop.task import Task, Terms
from stages.precompute.teacher.caption_config import TeacherTrainConfig
from stages.precompute.teacher.caption_pairs import Pairs, telling_words, word_presence
from stages.precompute.teacher.clip_images import Preprocessing

IGNORED = -100
ROWS_AT_A_TIME = 32


@dataclass
class Parts:
    """All that is trained or saved."""

    clip: Any  # open_clip's whole model; only its image side is used
    language_model: Any
    tokenizer: Any
    mapper: nn.Module
    words: nn.Linear  # a head for `word_loss`, thrown away later
    preprocessing: Preprocessing


class CaptionNetwork(nn.Module):
    """A tower, a mapper, a language model, and the head that names words."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.visual = parts.clip.visual.to(memory_format=torch.channels_last)
        self.mapper, self.gpt, self.words = parts.mapper, parts.language_model, parts.words

    def forward(self, seen: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) of captions (B, T), and of words (B, W).

        `seen` are images (B, 3, H, W), or a frozen tower's embeddings of them (B, E).
        """
        embedding = self.embed(seen) if seen.ndim == 4 else seen
        prefix = self.mapper(embedding)
        embeds = self.gpt.transformer.wte(tokens.clamp(min=0))
        logits = self.gpt(inputs_embeds=torch.cat([prefix, embeds], dim=1)).logits
        return logits[:, prefix.shape[1] - 1 : -1], self.words(embedding)

    def embed(self, images: Tensor) -> Tensor:
        """What the tower makes of images (B, 3, H, W): (B, E)."""
        output = self.visual(images)
        return output[0] if isinstance(output, tuple) else output


class CaptionTensors:
    """A data set as tensors: pixels (N, H, W, 3) uint8 in memory, captions as token ids.

    Pixels are wider than the tower's images by a margin, in which a training image is shifted.
    """

    def __init__(
        self, pairs: Pairs, parts: Parts, device: torch.device, words_of: Pairs | None = None
    ) -> None:
        self.pixels, self.device = pairs.pixels, device
        about = parts.preprocessing
        self.size = about.size
        self._mean, self._std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (about.mean, about.std)
        )
        length = parts.mapper.shape.length  # type: ignore[union-attr]
        room = parts.language_model.config.n_positions - length
        if room < 1:
            raise ValueError(
                f"prefix_length = {length}: the language model has {length + room} positions, so no word of "
                "a caption fits behind it"
            )
        self.tokens = [
            [torch.tensor(parts.tokenizer.encode(text))[:room] for text in texts]
            for texts in pairs.captions
        ]
        words = telling_words((words_of or pairs).captions)
        self.words = word_presence(pairs.captions, words).to(device)

    def __len__(self) -> int:
        return len(self.tokens)

    def captions(self, rows: Tensor, draws: Draws | None = None) -> Tensor:
        """One caption of each image, (B, T) padded with IGNORED; the first without draws."""
        numbers = draws.uniform().tolist() if draws else [0.0] * len(rows)
        texts = [self.tokens[row] for row in rows.tolist()]
        chosen = [own[int(number * len(own))] for own, number in zip(texts, numbers, strict=True)]
        padded = nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=IGNORED)
        return padded.to(self.device)

    def images(self, rows: Tensor, draws: Draws | None = None, *, flip: bool = False) -> Tensor:
        """Normalised images (B, 3, H, W), each shifted and perhaps flipped by draws, or its middle."""
        pixels = self.pixels[rows]
        margin = pixels.shape[1] - self.size
        numbers = draws.uniform(3).cpu() if draws else torch.full((len(rows), 3), 0.5)
        places = (
            (numbers[:, :2] * (margin + 1)).long() if draws else torch.tensor([margin // 2] * 2)
        )
        cut = [
            image[top : top + self.size, left : left + self.size]
            for image, (top, left) in zip(pixels, places.expand(len(rows), 2).tolist(), strict=True)
        ]
        if draws and flip:
            cut = [
                own.flip(1) if n < 0.5 else own for own, n in zip(cut, numbers[:, 2], strict=True)
            ]
        scaled = torch.stack(cut).to(self.device).permute(0, 3, 1, 2).float() / 255
        normal = (scaled - self._mean) / self._std
        return normal.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def embedded(self, network: CaptionNetwork) -> Tensor:
        """What a tower that stays frozen makes of all images, (N, E)."""
        parts = torch.arange(len(self)).split(ROWS_AT_A_TIME)
        return torch.cat([network.embed(self.images(own)).float() for own in parts])


def caption_task(
    config: TeacherTrainConfig, parts: Parts, train: Pairs, val: Pairs, device: torch.device
) -> Task:
    """Make the task: one caption of each image a step, drawn anew. Raises ValueError."""
    network = CaptionNetwork(parts).to(device)
    network.visual.requires_grad_(config.train_tower)  # a tower comes frozen
    network.gpt.requires_grad_(config.train_language_model)
    learned, held = (CaptionTensors(pairs, parts, device, words_of=train) for pairs in (train, val))
    norms = NormWarmUp(network.visual)
    embeddings: tuple[Tensor, ...] = ()  # of a frozen tower, which looks at each image once
    if not config.train_tower:  # now, in float32, and not within a step whose arithmetic is counted
        network.visual.eval()
        embeddings = tuple(data.embedded(network) for data in (learned, held))

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        if config.train_tower:
            norms.before_batch()
            seen = learned.images(rows, draws, flip=config.flip)
        else:
            seen = embeddings[0][rows.to(device)]
        tokens = learned.captions(rows, draws)
        logits, word_logits = model(seen, tokens)
        captions = caption_loss(logits, tokens)
        words = word_loss(word_logits, learned.words[rows.to(device)])
        return Terms(captions + config.word_loss * words, {"caption_loss": captions})

    def evaluate(model: nn.Module) -> dict[str, float]:
        total = 0.0
        for rows in torch.arange(len(held)).split(ROWS_AT_A_TIME):
            seen = held.images(rows) if config.train_tower else embeddings[1][rows.to(device)]
            tokens = held.captions(rows)
            total += caption_loss(model(seen, tokens)[0], tokens).item() * len(rows)
        return {"val_loss": total / len(held)}

    frozen = {"visual": not config.train_tower, "gpt": not config.train_language_model}
    return Task(
        model=network,
        about={"kind": "captioner in training"},
        num_rows=len(learned),
        losses=losses,
        inputs=lambda rows: {"pixels": learned.pixels[rows]},
        evaluate=evaluate,
        headline="val_loss",
        larger_is_better=False,
        frozen=tuple(name for name, is_frozen in frozen.items() if is_frozen),
    )


def caption_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of captions (B, T), padded with IGNORED, by their logits (B, T, V)."""
    return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten(), ignore_index=IGNORED)


def word_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy of the words (B, W) that captions name.

    Summed over words and divided by ten, so that it is about as large as the loss of captions.
    """
    if not present.shape[1]:  # no word tells these images apart, and a mean over nothing is NaN
        return logits.sum() * 0
    return F.binary_cross_entropy_with_logits(logits.float(), present) * present.shape[1] / 10
