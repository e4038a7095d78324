"""Label-cheap probes of a backbone: a linear SVM on its frozen features, and few-shot episodes of it.

Features are the maximum and the mean over the patch tokens of the last block. The few-shot protocol is
the usual one of k ways and n shots with 20 queries a class, ten episodes (Sharma and Kaul, NeurIPS 2020),
here with the linear SVM in place of fine-tuning.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.training.initial import apply_initial, load_initial
from stages.training.networks.encoder import EncoderShape, PointEncoder
from stages.training.tasks.shapes import Shapes, load_shapes

ROWS_AT_A_TIME = 64
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
WAYS, SHOTS, QUERIES, EPISODES = (5, 10), (10, 20), 20, 10


@dataclass(frozen=True)
class Features:
    """Standardised features (N, F) and labels (N,) of both splits."""

    train: NDArray[np.float32]
    train_label: NDArray[np.int64]
    test: NDArray[np.float32]
    test_label: NDArray[np.int64]


def load_encoder(source: str, wanted: EncoderShape, seed: int = 0) -> PointEncoder:
    """The frozen encoder of a checkpoint (see `initial.load_initial`), or a random one.

    Raises ValueError if there is none in it.
    """
    torch.manual_seed(seed)
    initial = load_initial(source)
    holder = torch.nn.Module()
    holder.encoder = PointEncoder(initial.shape(wanted))
    apply_initial(holder, initial)
    encoder = holder.encoder
    assert isinstance(encoder, PointEncoder)
    return encoder.eval()


def probe(
    encoder: PointEncoder, store: Path, *, num_points: int, device: torch.device, seed: int = 0
) -> dict[str, Any]:
    """Probe an encoder on a prepared classification set: accuracies, and few-shot means."""
    features = extract(encoder.to(device), store, num_points, device)
    penalty = choose_penalty(features, seed)
    predicted = _svm(features.train, features.train_label, penalty).predict(features.test)
    found: dict[str, Any] = {
        "svm_accuracy": float((predicted == features.test_label).mean()),
        "svm_penalty": penalty,
        "few_shot": {},
    }
    classes = np.unique(features.test_label)
    for ways in WAYS:
        for shots in SHOTS:
            scores = few_shot(features, ways, shots, seed)
            if len(classes) >= ways and scores:
                found["few_shot"][f"{ways}-way {shots}-shot"] = {
                    "mean": float(np.mean(scores)),
                    "std": float(np.std(scores)),
                }
    return found


@torch.no_grad()
def extract(encoder: PointEncoder, store: Path, num_points: int, device: torch.device) -> Features:
    """The features of both splits, each dimension at mean 0 and deviation 1 over the training split."""
    splits = [
        load_shapes(store, (split,), device, keep=num_points)[0] for split in ("train", "test")
    ]
    train, test = (_pooled(encoder, shapes, num_points) for shapes in splits)
    mean, std = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-9)
    labels = [shapes.label.cpu().numpy() for shapes in splits]
    return Features((train - mean) / std, labels[0], (test - mean) / std, labels[1])


def _pooled(encoder: PointEncoder, shapes: Shapes, num_points: int) -> NDArray[np.float32]:
    parts = []
    for rows in torch.arange(len(shapes)).split(ROWS_AT_A_TIME):
        tokens = encoder(shapes.first(rows, num_points))[0][-1]
        parts.append(
            torch.cat([tokens.max(dim=1).values, tokens.mean(dim=1)], dim=-1).float().cpu()
        )
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
