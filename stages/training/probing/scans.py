"""How much a frozen backbone knows of scenes: a linear layer on its features of each point.

A point's features are those of the last block, interpolated from its three nearest patches. They stay
as they are; a linear layer learns the classes of vertices from them, and is judged by mean
IoU on the held scans. Beside it stands the same backbone with random weights, which knows only what
the points' positions tell; both over several seeds: of the points that are drawn and of the layer's
steps, of the random ones also of weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cache.checkpoint import has_checkpoint, read_meta
from cache.runs import KEPT, LAST
from cache.scene_group import Listing
from stages.geometry.cloud_input import Normalisation
from stages.geometry.normalise import normalise
from stages.loop.random_numbers import plain_draws, seed_of
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import EncoderShape
from stages.training.networks.upsample import interpolate
from stages.training.spread import beside, said, spread
from stages.training.tasks.scans import HELD
from stages.training.tasks.segmentation.scenes import Scenes, load_scenes
from stages.training.tasks.segmentation.scores import (
    UNLABELLED,
    confusion,
    no_counts,
    scores_of,
)
from stages.training.weights.build import input_of
from stages.training.weights.first_weights import SCRATCH
from stages.training.weights.frozen import load_encoder, settle_norms

ROWS_AT_A_TIME = 8
POINTS_A_SCENE = 512  # whose features the layer learns from
STEPS, BATCH, RATE = 1000, 4096, 0.01


@dataclass(frozen=True)
class View:
    """How scenes are shown to a backbone."""

    num_points: int = 8192
    normalisation: Normalisation = "unit_sphere"
    seed: int = 0


def probe_run(
    run: Path,
    store: Path,
    wanted: EncoderShape,
    num_points: int,
    *,
    seeds: int,
    device: torch.device,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Probe all that a pre-training kept, and random weights, by the same draws; scores by epoch.

    Scenes are shown at the scale that the weights know. Raises ValueError if there is no checkpoint, or
    no annotated scan of train or val.
    """
    by_epoch = _checkpoints(run)
    listing = Listing.read(store)
    train, held = (load_scenes(listing, (split,), device) for split in ("train", HELD))
    last = by_epoch[max(by_epoch)]
    shape, normalisation = load_encoder(last, wanted).shape, input_of(read_meta(Path(last)))
    views = [View(num_points, normalisation.normalisation, seed) for seed in range(seeds)]
    random = [probe(random_encoder(shape, train, view), train, held, view) for view in views]
    say(f"  {'random weights':<16} {_said(_over(random))}")
    curve = []
    for epoch, source in sorted(by_epoch.items()):
        encoder = load_encoder(source, shape).to(device)
        found = [probe(encoder, train, held, view) for view in views]
        curve.append({"epoch": epoch, **_over(found)})
        say(f"  {f'epoch {epoch}':<16} {_said(curve[-1])}")
    gain = beside([row["miou"] for row in found], [row["miou"] for row in random])["difference"]
    say(f"  {'more than random':<16} mIoU {said(gain, sign='+')}, seed for seed; one pre-training")
    return {
        "seeds": seeds,
        "random": _over(random),
        "curve": curve,
        "difference": gain,
        "points_a_scene": POINTS_A_SCENE,
        "num_points": num_points,
    }


def _checkpoints(run: Path) -> dict[int, str]:
    """Where the weights of each epoch are that a run kept, the last ones included."""
    last = run / LAST if has_checkpoint(run / LAST) else run
    folders = [
        folder for folder in (*sorted((run / KEPT).glob("*")), last) if has_checkpoint(folder)
    ]
    if not folders:
        raise ValueError(f"{run}: there is no checkpoint in it")
    return {int(read_meta(folder).position["epoch"]): str(folder) for folder in folders}


def random_encoder(shape: EncoderShape, scenes: Scenes, view: View) -> PointEncoder:
    """A backbone with random weights of the view's seed, whose norms have seen the scenes."""
    encoder = load_encoder(SCRATCH, shape, view.seed).to(scenes.vertices.device)
    parts = torch.arange(len(scenes)).split(ROWS_AT_A_TIME)
    settle_norms(encoder, (shown(scenes, rows, view)[0] for rows in parts))
    return encoder


def _over(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {name: spread([run[name] for run in runs]) for name in runs[0]}


def _said(measures: Mapping[str, Any]) -> str:
    return f"mIoU {said(measures['miou'])}, accuracy {said(measures['accuracy'])}"


def probe(encoder: PointEncoder, train: Scenes, held: Scenes, view: View) -> dict[str, float]:
    """Mean IoU and accuracy on one seeded draw of each held scan."""
    rows = known(encoder, train, view)
    return scores_of(judged([learned(rows, train, view.seed)], encoder, held, view)[0])


def shown(scenes: Scenes, rows: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Points (B, N, 3) as a backbone sees them, and classes (B, N), of a seeded draw of some scenes."""
    seed = seed_of(view.seed, "probe", int(rows[0]))
    points, label = scenes.draw(
        rows, view.num_points, plain_draws(seed, len(rows), scenes.vertices.device)
    )
    return normalise(points, view.normalisation), label


@torch.no_grad()
def features_of(
    encoder: PointEncoder, scenes: Scenes, rows: Tensor, view: View
) -> tuple[Tensor, Tensor]:
    """Features (B, N, C) and classes (B, N) of a seeded draw of some scenes."""
    points, label = shown(scenes, rows, view)
    outputs, patches = encoder(points)
    return interpolate(points, patches.centers, outputs[-1]).float(), label


@dataclass(frozen=True)
class Known:
    """Labelled points of training scans: features (M, C) in half precision, classes (M,), their scenes' rows (M,)."""

    features: Tensor
    label: Tensor
    scene: Tensor


@dataclass(frozen=True)
class Learned:
    """A linear layer, and by what features are standardised before it, (C,) each."""

    layer: nn.Linear
    mean: Tensor
    std: Tensor

    @torch.no_grad()
    def classes(self, features: Tensor) -> Tensor:
        """The class of each feature (..., C)."""
        found: Tensor = self.layer((features - self.mean) / self.std).argmax(dim=-1)
        return found


def known(encoder: PointEncoder, scenes: Scenes, view: View) -> Known:
    """Features of some labelled points of each scene."""
    features, labels, places = [], [], []
    for rows in torch.arange(len(scenes)).split(ROWS_AT_A_TIME):
        found, label = features_of(encoder, scenes, rows, view)
        for row, own, kinds in zip(rows.tolist(), found, label, strict=True):
            # The points were drawn in random order already.
            chosen = (kinds != UNLABELLED).nonzero()[:POINTS_A_SCENE, 0]
            features.append(own[chosen].half())
            labels.append(kinds[chosen].long())
            places.append(torch.full((len(chosen),), row, device=chosen.device))
    return Known(torch.cat(features), torch.cat(labels), torch.cat(places))


def learned(
    rows: Known,
    scenes: Scenes,
    seed: int,
    *,
    rate: float = RATE,
    steps: int = STEPS,
    of: Sequence[int] | None = None,
) -> Learned:
    """What a linear layer learns from points of all scenes, or of some rows of them.

    Raises ValueError if none of them is of a judged class.
    """
    features, label = rows.features, rows.label
    if of is not None:
        is_wanted = torch.isin(rows.scene, torch.tensor(of, device=rows.scene.device))
        features, label = features[is_wanted], label[is_wanted]
    if not len(label):
        raise ValueError("no vertex of the training scans is of one of the judged classes")
    features = features.float()
    mean, std = features.mean(dim=0), features.std(dim=0).clamp(min=1e-6)
    layer = learn((features - mean) / std, label, len(scenes.classes), seed, rate, steps)
    return Learned(layer, mean, std)


def judged(
    layers: Sequence[Learned], encoder: PointEncoder, held: Scenes, view: View
) -> list[Tensor]:
    """The confusion (K, K + 1) of each layer on one seeded draw of each held scan, seen once for all of them."""
    num_classes = len(held.classes)
    counts = [no_counts(num_classes) for _ in layers]
    for rows in torch.arange(len(held)).split(ROWS_AT_A_TIME):
        found, true = features_of(encoder, held, rows, view)
        for own, layer in zip(counts, layers, strict=True):
            own += confusion(true, layer.classes(found), num_classes).cpu()
    return counts


def learn(
    features: Tensor,
    label: Tensor,
    num_classes: int,
    seed: int,
    rate: float = RATE,
    steps: int = STEPS,
) -> nn.Linear:
    """Fit a linear layer to standardised features (M, C) by cross entropy, with AdamW."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(features.shape[1], num_classes).to(features.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(features), (min(BATCH, len(features)),), generator=generator)
        rows = rows.to(features.device)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(layer(features[rows]), label[rows]).backward()
        optimizer.step()
        schedule.step()
    return layer
