"""How much a frozen backbone knows of scenes: a linear layer on its features of each point.

A point's features are those of the last block, interpolated from its three nearest patches. They stay
as they are; a linear layer learns the 20 classes of ScanNet's vertices from them, and is judged by mean
IoU on the held scans. Beside it stands the same backbone with random weights, which knows only what
the points' positions tell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cache.checkpoint import has_checkpoint, read_meta
from stages.normalise import Normalisation, normalise
from stages.training.draws import plain_draws, seed_of
from stages.training.initial import SCRATCH
from stages.training.networks.encoder import EncoderShape, PointEncoder
from stages.training.networks.upsample import interpolate
from stages.training.probes import load_encoder
from stages.training.run_folder import KEPT, LAST
from stages.training.tasks.segmentation.scenes import Scenes, load_scenes
from stages.training.tasks.segmentation.scores import (
    NUM_CLASSES,
    UNLABELLED,
    confusion,
    scores_of,
)

ROWS_AT_A_TIME = 8
POINTS_A_SCENE = 512  # whose features the layer learns from
STEPS, BATCH, RATE = 1000, 4096, 0.01


@dataclass(frozen=True)
class Look:
    """How scenes are shown to a backbone."""

    num_points: int = 8192
    norm_input: Normalisation = "unit_sphere"
    seed: int = 0


def probe_run(
    run: Path,
    store: Path,
    wanted: EncoderShape,
    look: Look,
    *,
    device: torch.device,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Probe all that a pre-training kept, and random weights; scores by epoch, random ones as 0.

    Raises ValueError if there is no checkpoint, or no annotated scan of train or val.
    """
    sources = [folder for folder in sorted((run / KEPT).glob("*")) if has_checkpoint(folder)]
    last = run / LAST if has_checkpoint(run / LAST) else run
    epochs = {str(f): read_meta(f).position["epoch"] for f in (*sources, last) if has_checkpoint(f)}
    by_epoch = {epoch: source for source, epoch in epochs.items()}  # the last is the last kept one
    if not by_epoch:
        raise ValueError(f"{run}: there is no checkpoint in it")
    train, held = (load_scenes(store, (split,), device) for split in ("train", "val"))
    shape = load_encoder(str(last), wanted).shape
    curve = []
    for epoch, source in ((0, SCRATCH), *sorted(by_epoch.items())):
        encoder = load_encoder(source, shape, look.seed).to(device)
        found = probe(encoder, train, held, look)
        curve.append({"epoch": epoch, **found})
        name = "random weights" if source == SCRATCH else f"epoch {epoch}"
        say(f"  {name:<16} mIoU {found['miou']:.4f}, accuracy {found['accuracy']:.4f}")
    return {"curve": curve, "points_a_scene": POINTS_A_SCENE, "num_points": look.num_points}


def probe(encoder: PointEncoder, train: Scenes, held: Scenes, look: Look) -> dict[str, float]:
    """Mean IoU and accuracy on one seeded draw of each held scan."""
    features, label = _training_rows(encoder, train, look)
    mean, std = features.float().mean(dim=0), features.float().std(dim=0).clamp(min=1e-6)
    layer = learn((features.float() - mean) / std, label, look.seed)
    counts = torch.zeros(NUM_CLASSES, NUM_CLASSES + 1, dtype=torch.long)
    for rows in torch.arange(len(held)).split(ROWS_AT_A_TIME):
        found, true = features_of(encoder, held, rows, look)
        with torch.no_grad():
            predicted = layer((found - mean) / std).argmax(dim=-1)
        counts += confusion(true, predicted).cpu()
    return scores_of(counts)


@torch.no_grad()
def features_of(
    encoder: PointEncoder, scenes: Scenes, rows: Tensor, look: Look
) -> tuple[Tensor, Tensor]:
    """Features (B, N, C) and classes (B, N) of a seeded draw of some scenes."""
    draws = plain_draws(
        seed_of(look.seed, "probe", int(rows[0])), len(rows), scenes.vertices.device
    )
    points, label = scenes.draw(rows, look.num_points, draws)
    points = normalise(points, look.norm_input)
    outputs, patches = encoder(points)
    return interpolate(points, patches.centers, outputs[-1]).float(), label


def _training_rows(encoder: PointEncoder, scenes: Scenes, look: Look) -> tuple[Tensor, Tensor]:
    """Features (M, C), in half precision, and classes (M,) of some labelled points of each scene."""
    features, labels = [], []
    for rows in torch.arange(len(scenes)).split(ROWS_AT_A_TIME):
        found, label = features_of(encoder, scenes, rows, look)
        for own, kinds in zip(found, label, strict=True):
            # The points were drawn in random order already.
            chosen = (kinds != UNLABELLED).nonzero()[:POINTS_A_SCENE, 0]
            features.append(own[chosen].half())
            labels.append(kinds[chosen].long())
    if not any(len(own) for own in labels):
        raise ValueError("no vertex of the training scans is of one of the 20 classes")
    return torch.cat(features), torch.cat(labels)


def learn(features: Tensor, label: Tensor, seed: int) -> nn.Linear:
    """Fit a linear layer to standardised features (M, C) by cross entropy, with AdamW."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(features.shape[1], NUM_CLASSES).to(features.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(features), (min(BATCH, len(features)),), generator=generator)
        rows = rows.to(features.device)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(layer(features[rows]), label[rows]).backward()
        optimizer.step()
        schedule.step()
    return layer
