"""Label-cheap probes of a backbone on shapes: few-shot episodes of a linear SVM on frozen features.

Features are the maximum and the mean over the patch tokens of the last block. The few-shot protocol is
the usual one of k ways and n shots with 20 queries a class, ten episodes (Sharma and Kaul, NeurIPS 2020),
here with the linear SVM in place of fine-tuning, and with fewer shots too: where random weights are right
already, a number shows nothing. Beside each stands the same network with random weights, by the same
episodes, over several seeds. With all labels the SVM is a measure that random weights nearly saturate.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.scene_group import Listing
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import EncoderShape
from stages.training.networks.student import pooled
from stages.training.spread import beside, spread
from stages.training.tasks.shapes import Shapes, load_shapes
from stages.training.weights.first_weights import SCRATCH
from stages.training.weights.frozen import load_encoder, settle_norms

ROWS_AT_A_TIME = 64
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
WAYS, SHOTS, QUERIES, EPISODES = (5, 10), (1, 5, 10, 20), 20, 10
ALL_LABELS = "all labels"


@dataclass(frozen=True)
class Features:
    """Standardised features (N, F) and labels (N,) of both splits."""

    train: NDArray[np.float32]
    train_label: NDArray[np.int64]
    test: NDArray[np.float32]
    test_label: NDArray[np.int64]


def probe(
    source: str,
    wanted: EncoderShape,
    store: Path,
    *,
    num_points: int,
    device: torch.device,
    seeds: int,
) -> dict[str, Any]:
    """Probe a checkpoint on a prepared classification set, beside random weights.

    Returns accuracies by episode (`10-way 1-shot`, ..., `all labels`), each over the seeds of episodes,
    of the random ones also of weights; `source` may be `scratch`, which has no arm beside it.
    """
    listing = Listing.read(store)
    shapes = [
        load_shapes(listing, (split,), device, keep=num_points)[0] for split in ("train", "test")
    ]
    encoder = load_encoder(source, wanted).to(device)
    is_random = source == SCRATCH
    trained = None if is_random else extract(encoder, shapes, num_points)
    arms: dict[str, list[tuple[float | None, float]]] = {}
    for seed in range(seeds):
        control = load_encoder(SCRATCH, encoder.shape, seed).to(device)
        settle_norms(control, _clouds(shapes[0], num_points))
        random = accuracies_of(extract(control, shapes, num_points), seed)
        own = accuracies_of(trained, seed) if trained else {}
        for name, value in random.items():
            arms.setdefault(name, []).append((own.get(name), value))
    measures = {}
    for name, pairs in arms.items():
        others = [value for _, value in pairs]
        mine = [value for value, _ in pairs if value is not None]
        measures[name] = {"random": spread(others)} if is_random else beside(mine, others)
    return {"seeds": seeds, "measures": measures}


def accuracies_of(features: Features, seed: int) -> dict[str, float]:
    """The mean accuracy over a seed's episodes, for each kind of them that the set has enough for."""
    found = {}
    classes = np.unique(features.test_label)
    for ways in WAYS:
        for shots in SHOTS:
            scores = few_shot(features, ways, shots, seed)
            if len(classes) >= ways and scores:
                found[f"{ways}-way {shots}-shot"] = float(np.mean(scores))
    svm = _svm(features.train, features.train_label, choose_penalty(features, seed))
    found[ALL_LABELS] = float((svm.predict(features.test) == features.test_label).mean())
    return found


@torch.no_grad()
def extract(encoder: PointEncoder, shapes: list[Shapes], num_points: int) -> Features:
    """The features of both splits, each dimension at mean 0 and deviation 1 over the training split."""
    train, test = (_pooled(encoder, own, num_points) for own in shapes)
    mean, std = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-9)
    labels = [own.label.cpu().numpy() for own in shapes]
    return Features((train - mean) / std, labels[0], (test - mean) / std, labels[1])


def _clouds(shapes: Shapes, num_points: int) -> Iterable[Tensor]:
    rows = torch.arange(len(shapes)).split(ROWS_AT_A_TIME)
    return (shapes.first(part, num_points) for part in rows)


def _pooled(encoder: PointEncoder, shapes: Shapes, num_points: int) -> NDArray[np.float32]:
    parts = []
    for points in _clouds(shapes, num_points):
        tokens = encoder(points)[0][-1]
        parts.append(pooled(tokens).float().cpu())
    return torch.cat(parts).numpy()


def choose_penalty(features: Features, seed: int) -> float:
    """The penalty that is best on a fifth of the training shapes, learned from the others."""
    fifth = np.random.default_rng(seed).permutation(len(features.train_label)) % 5 == 0
    scores = []
    for penalty in PENALTIES:
        svm = _svm(features.train[~fifth], features.train_label[~fifth], penalty)
        scores.append((svm.predict(features.train[fifth]) == features.train_label[fifth]).mean())
    return PENALTIES[int(np.argmax(scores))]


def few_shot(features: Features, ways: int, shots: int, seed: int) -> list[float]:
    """Accuracy of each episode; none if no class has enough shapes for its shots."""
    generator = np.random.default_rng([seed, ways, shots])
    enough = [
        label
        for label in np.unique(features.train_label)
        if (features.train_label == label).sum() >= shots and (features.test_label == label).any()
    ]
    if len(enough) < ways:
        return []
    scores = []
    for _ in range(EPISODES):
        chosen = generator.choice(enough, ways, replace=False)
        support, queries = [], []
        for label in chosen:
            support.append(
                generator.choice(
                    np.flatnonzero(features.train_label == label), shots, replace=False
                )
            )
            own = np.flatnonzero(features.test_label == label)
            queries.append(generator.choice(own, min(QUERIES, len(own)), replace=False))
        rows, asked = np.concatenate(support), np.concatenate(queries)
        svm = _svm(features.train[rows], features.train_label[rows], PENALTIES[-1])
        scores.append(
            float((svm.predict(features.test[asked]) == features.test_label[asked]).mean())
        )
    return scores


def _svm(x: NDArray[np.float32], label: NDArray[np.int64], penalty: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LinearSVC(C=penalty, max_iter=2000, random_state=0).fit(x, label)
