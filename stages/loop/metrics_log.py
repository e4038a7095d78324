"""What a run logs: lines in its folder, curves for TensorBoard."""

import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cache.commit import commit, partial_path
from cache.runs import EVENTS, METRICS, RunFolder, read_metrics


class MetricsLog:
    """Writes `metrics.jsonl` and TensorBoard events; goes on from a step that was saved."""

    def __init__(self, folder: RunFolder, step: int) -> None:
        self._folder, self._from_step = folder, step
        self._path = folder.path / METRICS
        self._is_open, self._board = False, None

    def _open(self) -> None:
        """Cut what is there off after the step; not before there is more to log."""
        if self._is_open:
            return
        kept = [line for line in read_metrics(self._folder.path) if line["step"] <= self._from_step]
        with partial_path(self._path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
            commit(partial, self._path)
        self._board = _tensorboard(self._folder.path / EVENTS, self._from_step)
        self._is_open = True

    @property
    def has_tensorboard(self) -> bool:
        """False where its package is not installed."""
        return find_spec("tensorboard") is not None

    def epoch(self, line: Mapping[str, float]) -> None:
        """Add an epoch's measures."""
        self._open()
        plain = {key: _plain(value) for key, value in line.items()}
        with open(self._path, "a") as file:
            file.write(json.dumps(plain) + "\n")
        self.step(int(line["step"]), {k: v for k, v in line.items() if k not in ("step", "epoch")})
        if self._board:
            self._board.flush()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Add curves' points, to TensorBoard only."""
        self._open()
        if self._board:
            for key, value in values.items():
                self._board.add_scalar(key, value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._board:
            self._board.close()


def _plain(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # it is optional
        return None
    return SummaryWriter(str(folder), purge_step=step)


# Logged, but not said at each epoch's end.
QUIET = ("epoch", "step", "lr", "weight_decay", "grad_norm", "patch_coverage", "samples_per_s")


def epoch_words(name: str, epochs: int, line: dict[str, float]) -> str:
    """One line for people: the epoch, and its measures."""
    said = ", ".join(f"{key} {value:.4g}" for key, value in line.items() if key not in QUIET)
    return f"{name}: epoch {line['epoch']}/{epochs}: {said}, {line['samples_per_s']:.3g} samples/s"
