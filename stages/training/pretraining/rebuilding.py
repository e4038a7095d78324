"""How well a frozen backbone lets masked patches be rebuilt: the paper's Table 7, in both its readings.

The table compares reconstruction losses "even with a random initialized decoder". Read literally, the decoder
stays random and only the backbone was trained; or a decoder is fitted on the frozen backbone. Both are measured
on held frames, beside random weights, over seeds of the decoder, of masks and of the random weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cache.checkpoint import has_checkpoint, read_meta
from cache.runs import LAST
from stages.geometry.chamfer import chamfer_loss
from stages.loop.random_numbers import plain_draws, seed_of
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.masked import PatchDecoder, points_of, split_patches
from stages.training.networks.shapes import MaskedShape
from stages.training.pretraining.clouds import Clouds
from stages.training.pretraining.config import PretrainConfig
from stages.training.pretraining.objectives.masked import draw_mask
from stages.training.spread import beside
from stages.training.weights.build import input_of
from stages.training.weights.first_weights import SCRATCH
from stages.training.weights.frozen import load_encoder, settle_norms

MASK_RATIO, DECODER_DEPTH = 0.6, 3  # the paper's reconstruction module
STEPS, BATCH, RATE = 300, 32, 1e-3
SETTLING_ROWS = 1024
READINGS = ("random decoder", "fitted decoder")


@dataclass(frozen=True)
class Frames:
    """Clouds that decoders learn from, and that they are judged on."""

    train: Clouds
    held: Clouds


def as_learned(config: PretrainConfig, run: Path) -> PretrainConfig:
    """A configuration with clouds shown as a run's weights know them. Raises CardError."""
    meta = read_meta(run / LAST if has_checkpoint(run / LAST) else run)
    shown = input_of(meta)
    if shown.frame not in ("camera", "gravity"):  # a fine-tuned one, of whole scenes or objects
        return config
    own = {
        "num_points": shown.num_points,
        "norm_input": shown.normalisation,
        "frame": shown.frame,
    }
    return config.model_copy(update=own)


def probe(
    source: str,
    frames: Frames,
    *,
    seeds: int,
    device: torch.device,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Chamfer distances (squared, normalised clouds) of a backbone and of random weights, by reading."""
    encoder = load_encoder(source, frames.train.config.encoder).to(device)
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in READINGS}
    for seed in range(seeds):
        control = load_encoder(SCRATCH, encoder.shape, seed).to(device)
        rows = torch.arange(min(SETTLING_ROWS, len(frames.train.pairs))).split(BATCH)
        settle_norms(control, (frames.train.plain(part).points for part in rows))
        for arm, backbone in enumerate((encoder, control)):
            for name, loss in zip(READINGS, both_readings(backbone, frames, seed), strict=True):
                found[name][arm].append(loss)
        say(f"  seed {seed + 1} of {seeds}")
    measures = {name: beside(*arms) for name, arms in found.items()}
    return {"seeds": seeds, "steps": STEPS, "mask_ratio": MASK_RATIO, "measures": measures}


def both_readings(encoder: PointEncoder, frames: Frames, seed: int) -> tuple[float, float]:
    """The loss of held frames with a random decoder, and with the same one once it is fitted."""
    shape = MaskedShape(encoder=encoder.shape, mask_ratio=MASK_RATIO, decoder_depth=DECODER_DEPTH)
    torch.manual_seed(seed)
    decoder = PatchDecoder(shape).to(frames.held.pairs.device)
    before = _held_loss(encoder, decoder.eval(), shape, frames.held, seed)
    _fit(encoder, decoder.train(), shape, frames.train, seed)
    return before, _held_loss(encoder, decoder.eval(), shape, frames.held, seed)


def _fit(
    encoder: PointEncoder, decoder: PatchDecoder, shape: MaskedShape, clouds: Clouds, seed: int
) -> None:
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    generator = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        rows = torch.randint(len(clouds.pairs), (BATCH,), generator=generator)
        draws = plain_draws(seed_of(seed, "rebuilding", step), BATCH, clouds.pairs.device)
        points = clouds.augmented(rows, draws).points
        mask = draw_mask(draws, shape.encoder.num_patches, shape.num_masked)
        optimizer.zero_grad(set_to_none=True)
        _loss(encoder, decoder, points, mask, shape.num_masked).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def _held_loss(
    encoder: PointEncoder, decoder: nn.Module, shape: MaskedShape, clouds: Clouds, seed: int
) -> float:
    total = 0.0
    for rows in torch.arange(len(clouds.pairs)).split(BATCH):
        draws = plain_draws(
            seed_of(seed, "held masks", int(rows[0])), len(rows), clouds.pairs.device
        )
        mask = draw_mask(draws, shape.encoder.num_patches, shape.num_masked)
        loss = _loss(encoder, decoder, clouds.plain(rows).points, mask, shape.num_masked)
        total += loss.item() * len(rows)
    return total / len(clouds.pairs)


def _loss(
    encoder: PointEncoder, decoder: nn.Module, points: Tensor, mask: Tensor, num_masked: int
) -> Tensor:
    with torch.no_grad():
        patches = encoder.patches_of(points)
        seen, masked = split_patches(mask, num_masked)
        last = encoder.encode(patches, visible=seen)[-1]
    rebuilt = decoder(last, patches, seen, masked)
    return chamfer_loss(rebuilt.flatten(0, 1), points_of(patches, masked).flatten(0, 1))
