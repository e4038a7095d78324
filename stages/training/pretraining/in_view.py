"""Which objects are in view, read linearly from one feature of a whole cloud: what was distilled, most directly.

A ridge regression on the maximum and mean over a frozen backbone's tokens learns for each NYU-40 class whether a
frame of the training rooms shows it, and is judged on held rooms by average precision. Beside it stand the same
backbone with random weights, and the 32 plain geometric numbers that are the bar of pre-training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.card import CardError
from cache.frame_labels import FrameLabels
from cache.frames import frames_path, read_frames
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import EncoderShape
from stages.training.networks.student import pooled
from stages.training.pretraining.clouds import Clouds
from stages.training.pretraining.pairs import Pairs
from stages.training.pretraining.rebuilding import Frames
from stages.training.pretraining.ridge import ridge_prediction
from stages.training.spread import beside, spread
from stages.training.weights.first_weights import SCRATCH
from stages.training.weights.frozen import load_encoder, settle_norms

MIN_SHARE = 0.01  # of a frame's pixels: less is not in view
FEWEST = {
    "train": 20,
    "held": 10,
}  # frames that show a class, and that do not; else it is not judged
SHELL = (1, 2, 22)  # wall, floor, ceiling: everywhere
ROWS_AT_A_TIME = 128
SETTLING_ROWS = 1024
MEAN = "mean average precision"


@dataclass(frozen=True)
class Truth:
    """Which of the judged classes (K) each frame shows, (N, K) of both splits."""

    classes: tuple[int, ...]
    train: NDArray[np.bool_]
    held: NDArray[np.bool_]


def probe(
    source: str,
    frames: Frames,
    labels: Mapping[tuple[str, int], FrameLabels],
    *,
    manifests: Path,
    seeds: int,
    device: torch.device,
) -> dict[str, Any]:
    """Mean average precision of a backbone, of random weights and of plain geometry, and by class.

    Seeds are of draws, and of random weights. Raises CardError if a frame has no labels, ValueError if no
    class is shown often enough.
    """
    truth = truth_of(frames, labels, manifests)
    encoder = load_encoder(source, frames.train.config.encoder).to(device)
    arms: dict[str, list[NDArray[np.float64]]] = {"trained": [], "random": []}
    for seed in range(seeds):
        control = random_encoder(encoder.shape, frames.train, seed)
        for arm, backbone in (("trained", encoder), ("random", control)):
            arms[arm].append(precisions_of(backbone, frames, truth, seed))
    plain = plain_precisions(frames, truth)
    means = {arm: [float(own.mean()) for own in runs] for arm, runs in arms.items()}
    by_class = {
        str(number): {arm: float(np.mean([own[n] for own in runs])) for arm, runs in arms.items()}
        | {"geometry": float(plain[n]), "held_frames": int(truth.held[:, n].sum())}
        for n, number in enumerate(truth.classes)
    }
    measures = {
        MEAN: {
            **beside(means["trained"], means["random"]),
            "geometry": spread([float(plain.mean())]),
        }
    }
    chance = float(truth.held.mean(axis=0).mean())
    return {"seeds": seeds, "measures": measures, "by_class": by_class, "chance": chance}


def random_encoder(shape: EncoderShape, clouds: Clouds, seed: int) -> PointEncoder:
    """A backbone with random weights of a seed, whose norms have seen some of the clouds."""
    encoder = load_encoder(SCRATCH, shape, seed).to(clouds.pairs.device)
    rows = torch.arange(min(SETTLING_ROWS, len(clouds.pairs))).split(ROWS_AT_A_TIME)
    settle_norms(encoder, (clouds.plain(part).points for part in rows))
    return encoder


def precisions_of(
    encoder: PointEncoder, frames: Frames, truth: Truth, seed: int
) -> NDArray[np.float64]:
    """Average precision of each class (K,), read from a backbone's features of one seeded draw."""
    train, held = (_features(encoder, own, seed) for own in (frames.train, frames.held))
    return precisions(train, held, truth)


def plain_precisions(frames: Frames, truth: Truth) -> NDArray[np.float64]:
    """The same (K,), read from the 32 plain geometric numbers."""
    return precisions(frames.train.features(), frames.held.features(), truth)


def precisions(train: Tensor, held: Tensor, truth: Truth) -> NDArray[np.float64]:
    """Average precision of each class (K,) of a ridge regression from features (N, F)."""
    from sklearn.metrics import average_precision_score

    wanted = torch.from_numpy(truth.train).double()
    scores = ridge_prediction(train.cpu(), lambda rows: wanted[rows], held.cpu()).numpy()
    return np.array(
        [average_precision_score(truth.held[:, n], scores[:, n]) for n in range(len(truth.classes))]
    )


@torch.no_grad()
def _features(encoder: PointEncoder, clouds: Clouds, seed: int) -> Tensor:
    """Maximum and mean over the tokens of each cloud, (N, 2 C)."""
    parts = torch.arange(len(clouds.pairs)).split(ROWS_AT_A_TIME)
    return torch.cat(
        [pooled(encoder(clouds.plain(rows, seed).points)[0][-1]).float() for rows in parts]
    )


def truth_of(
    frames: Frames, labels: Mapping[tuple[str, int], FrameLabels], manifests: Path
) -> Truth:
    """Which classes are judged, and where they are in view. Raises CardError, ValueError."""
    shown = [_shown(own.pairs, labels, manifests) for own in (frames.train, frames.held)]
    numbers = sorted(set().union(*shown[0]) - set(SHELL))
    train, held = (
        np.array([[number in own for number in numbers] for own in split]).reshape(len(split), -1)
        for split in shown
    )
    enough = np.ones(len(numbers), bool)
    for split, least in ((train, FEWEST["train"]), (held, FEWEST["held"])):
        count = split.sum(axis=0)
        enough &= (count >= least) & (len(split) - count >= least)
    if not enough.any():
        raise ValueError(
            f"no class is shown by {FEWEST['train']} training and {FEWEST['held']} held frames and missing in as many"
        )
    kept = tuple(number for number, wanted in zip(numbers, enough, strict=True) if wanted)
    return Truth(kept, train[:, enough], held[:, enough])


def _shown(
    pairs: Pairs, labels: Mapping[tuple[str, int], FrameLabels], manifests: Path
) -> list[set[int]]:
    """NYU-40 classes of each pair's frame."""
    index_of = {scene: _frame_indices(manifests, scene) for scene in pairs.scene_ids}
    found = []
    for room, row in zip(pairs.room.tolist(), pairs.row.tolist(), strict=True):
        scene = pairs.scene_ids[room]
        frame = labels.get((scene, index_of[scene][row]))
        if frame is None:
            raise CardError(
                f"{scene}: frame {index_of[scene][row]} has no labels; run label-frames --overwrite, or leave "
                "its recording out"
            )
        shares = zip(frame.nyu40id, frame.share, strict=True)
        total: dict[int, float] = {}
        for number, share in shares:
            total[number] = total.get(number, 0.0) + share
        found.append({number for number, share in total.items() if share >= MIN_SHARE})
    return found


def _frame_indices(manifests: Path, scene: str) -> dict[int, int]:
    table = read_frames(frames_path(manifests, scene), ["row", "frame_index"])
    return {row["row"]: row["frame_index"] for row in table.to_pylist() if row["row"] is not None}
