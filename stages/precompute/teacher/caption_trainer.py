"""The training of a ClipCap, step by step: losses, schedule, exact resume."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from cache.card import Card
from cache.commit import commit, partial_path
from stages.loop.batch_norm import NormWarmUp
from stages.machine.device import autocast_dtype
from stages.machine.progress import Progress
from stages.precompute.teacher.caption_pairs import Pairs, telling_words, word_presence
from stages.precompute.teacher.clip_images import Preprocessing
from stages.settings import Settings

IGNORED = -100


class SmallTower(Settings):
    """A small image tower from nothing: a timm trunk inside open_clip."""

    trunk: str = "test_resnet"
    image_size: int = Field(64, ge=32)
    embed_dim: int = Field(128, ge=8)


class SmallLanguageModel(Settings):
    """A small GPT-2 from nothing, its tokenizer trained on the captions."""

    width: int = Field(128, ge=64, multiple_of=64)  # 64 a head
    layers: int = Field(2, ge=1)
    vocabulary: int = Field(1024, ge=300)


class TeacherTrainConfig(Settings):
    """What is trained, and how. Defaults are the official MLP recipe."""

    name: str = Field("trained", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    tower: str = "ViT-B-32-quickgelu"
    pretrained: str = "openai"
    small_tower: SmallTower | None = None  # instead of `tower`
    train_tower: bool = False
    language_model: str = "gpt2"  # on the hub, or a folder
    small_language_model: SmallLanguageModel | None = None  # instead of `language_model`
    train_language_model: bool = True
    mapper: Literal["mlp", "transformer"] = "mlp"
    prefix_length: int = Field(10, ge=1)
    epochs: int = Field(10, ge=1)  # over the images; one of its captions is drawn each time
    batch_images: int = Field(40, ge=1)
    lr: float = Field(2e-5, gt=0)
    warmup_steps: int = Field(5000, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    shift: float = Field(0.0, ge=0, le=0.5)  # of a trained tower's images, in image sizes
    flip: bool = False  # left and right; leave it off if captions name them
    word_loss: float = Field(0.0, ge=0)  # weight of naming the caption's words from the embedding
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)


@dataclass
class Parts:
    """All that is trained or saved."""

    clip: Any  # open_clip's whole model; only its image side is used
    language_model: Any
    tokenizer: Any
    mapper: nn.Module
    words: nn.Linear  # a head for `word_loss`, thrown away later
    preprocessing: Preprocessing


class Trainer:
    """Modules on their device, the optimizer, and where the run stands."""

    def __init__(
        self, config: TeacherTrainConfig, parts: Parts, train: Pairs, val: Pairs, device: Any
    ) -> None:
        self.config, self.device = config, device
        self.visual = parts.clip.visual.to(device, memory_format=torch.channels_last)
        self.gpt, self.mapper = parts.language_model.to(device), parts.mapper.to(device)
        self.words = parts.words.to(device)
        self.visual.requires_grad_(config.train_tower)
        self.gpt.requires_grad_(config.train_language_model)
        self.modules = nn.ModuleList([self.visual, self.gpt, self.mapper, self.words])
        self.norms = NormWarmUp(self.visual)
        self.train_set = CaptionTensors(train, parts, device)
        self.val_set = CaptionTensors(val, parts, device, words_of=train)
        self.size = parts.preprocessing.size
        self.mean = torch.tensor(parts.preprocessing.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(parts.preprocessing.std, device=device).view(1, 3, 1, 1)
        self.generator = torch.Generator().manual_seed(config.seed)
        trained = [p for p in self.modules.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
        self.steps_per_epoch = max(1, len(train) // config.batch_images)
        self.dtype = autocast_dtype(device, config.precision)
        self.metrics: list[dict[str, float]] = []
        self.frozen: dict[int, Tensor] = {}  # embeddings of a frozen tower, by data set

    def train_epoch(self, epoch: int, progress: Progress) -> None:
        """Go once over the images."""
        self.modules.train()
        self.visual.train(self.config.train_tower)
        self.gpt.train(self.config.train_language_model)
        order = torch.randperm(len(self.train_set), generator=self.generator)
        total = 0.0
        for step in range(self.steps_per_epoch):
            rows = order[step * self.config.batch_images : (step + 1) * self.config.batch_images]
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate(epoch * self.steps_per_epoch + step)
            if self.config.train_tower:
                self.norms.before_batch()
            caption_loss, word_loss = self._losses(self.train_set, rows, augment=True)
            loss = caption_loss + self.config.word_loss * word_loss
            if not torch.isfinite(loss):
                raise ValueError(f"epoch {epoch + 1}: the loss is {loss.item()}; lower lr")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.modules.parameters(), self.config.clip_norm)
            self.optimizer.step()
            total += caption_loss.item()
            progress.update(epoch * len(self.train_set) + (step + 1) * self.config.batch_images)
        self.metrics.append(
            {
                "epoch": epoch + 1,
                "caption_loss": total / self.steps_per_epoch,
                "val_loss": self._validate(),
            }
        )

    @torch.inference_mode()
    def _validate(self) -> float:
        self.modules.eval()
        losses = [
            self._losses(self.val_set, rows, augment=False)[0].item() * len(rows)
            for rows in torch.arange(len(self.val_set)).split(self.config.batch_images)
        ]
        return sum(losses) / len(self.val_set)

    def _rate(self, step: int) -> float:
        """Linear warm-up, then linearly to zero, as the official training."""
        total = self.config.epochs * self.steps_per_epoch
        warm_up = min(self.config.warmup_steps, total // 2)
        if step < warm_up:
            return self.config.lr * (step + 1) / warm_up
        return self.config.lr * (total - step) / max(1, total - warm_up)

    def _losses(
        self, data: "CaptionTensors", rows: Tensor, *, augment: bool
    ) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of one caption of each image, and of the words that it names."""
        tokens = data.draw_captions(rows, self.generator if augment else None)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            embedding = self._embed(data, rows, augment=augment)
            prefix = self.mapper(embedding)
            embeds = self.gpt.transformer.wte(tokens.clamp(min=0))
            logits = self.gpt(inputs_embeds=torch.cat([prefix, embeds], dim=1)).logits
            word_logits = self.words(embedding)
        predicted = logits[:, prefix.shape[1] - 1 : -1].float().flatten(0, 1)
        caption_loss = F.cross_entropy(predicted, tokens.flatten(), ignore_index=IGNORED)
        # Summed over words and divided by ten: about the size of the caption loss.
        present = data.words[rows.to(data.words.device)]
        if not present.shape[1]:  # no word tells these images apart, and a mean over nothing is NaN
            return caption_loss, torch.zeros_like(caption_loss)
        word_loss = F.binary_cross_entropy_with_logits(word_logits.float(), present)
        return caption_loss, word_loss * present.shape[1] / 10

    def _embed(self, data: "CaptionTensors", rows: Tensor, *, augment: bool) -> Tensor:
        if self.config.train_tower:
            return _pooled(self.visual(self._pixels(data.pixels[rows], augment=augment)))
        if id(data) not in self.frozen:  # a frozen tower looks at each image once
            with torch.no_grad():
                parts = [
                    _pooled(self.visual(self._pixels(pixels, augment=False))).float()
                    for pixels in data.pixels.split(self.config.batch_images)
                ]
            self.frozen[id(data)] = torch.cat(parts)
        return self.frozen[id(data)][rows.to(self.device)]

    def _pixels(self, pixels: Tensor, *, augment: bool) -> Tensor:
        """Crop to size, in the middle or shifted, perhaps flipped, and normalise."""
        margin = pixels.shape[1] - self.size
        top, left = (margin // 2, margin // 2)
        if augment and margin:
            top, left = torch.randint(0, margin + 1, (2,), generator=self.generator).tolist()
        cut = pixels[:, top : top + self.size, left : left + self.size]
        if augment and self.config.flip and torch.rand((), generator=self.generator) < 0.5:
            cut = cut.flip(2)
        scaled = cut.to(self.device).permute(0, 3, 1, 2).float() / 255
        normal = (scaled - self.mean) / self.std
        return normal.contiguous(memory_format=torch.channels_last)

    def save(self, path: Path, card: Card) -> None:
        """Save where the run stands, so that it can go on exactly."""
        state = {
            "fingerprint": card.fingerprint,
            "modules": self.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if self.device.type == "cuda" else None,
            "metrics": self.metrics,
        }
        with partial_path(path) as partial:
            torch.save(state, partial)
            commit(partial, path)

    def resume(self, path: Path, card: Card) -> int:
        """Go on from a saved state of the same training, if there is one; returns the epoch."""
        if not path.is_file():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["fingerprint"] != card.fingerprint:
            return 0
        try:
            self.modules.load_state_dict(state["modules"])
        except RuntimeError:
            raise ValueError(
                f"{path}: a training that another version of distill3d began; delete it to start anew"
            ) from None
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"])
        self.metrics = state["metrics"]
        return len(self.metrics)


class CaptionTensors:
    """A data set as tensors: pixels in memory, captions as padded token ids."""

    def __init__(
        self, pairs: Pairs, parts: Parts, device: torch.device, words_of: Pairs | None = None
    ) -> None:
        self.pixels, self.device = pairs.pixels, device
        self.tokens = [
            [torch.tensor(parts.tokenizer.encode(text)) for text in texts]
            for texts in pairs.captions
        ]
        length = parts.mapper.shape.length  # type: ignore[union-attr]
        room = parts.language_model.config.n_positions - length
        if room < 1:
            raise ValueError(
                f"prefix_length = {length}: the language model has {length + room} positions, so no word of "
                "a caption fits behind it"
            )
        self.tokens = [[ids[:room] for ids in texts] for texts in self.tokens]
        words = telling_words((words_of or pairs).captions)
        self.words = word_presence(pairs.captions, words).to(device)

    def __len__(self) -> int:
        return len(self.tokens)

    def draw_captions(self, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        """One caption of each image, (B, T) padded with IGNORED; the first without a generator."""
        chosen = []
        for row in rows.tolist():
            texts = self.tokens[row]
            which = 0
            if generator is not None:
                which = int(torch.randint(len(texts), (), generator=generator))
            chosen.append(texts[which])
        padded = nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=IGNORED)
        return padded.to(self.device)


def _pooled(output: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
