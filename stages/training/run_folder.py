"""The folder of one run: its checkpoints, what it logged, its result."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cache.card import Card, JsonDict, OtherConfigurationError, differences
from cache.checkpoint import has_checkpoint, read_meta
from cache.commit import commit, partial_path, remove

METRICS, RESULT, CARD, EVENTS = "metrics.jsonl", "result.json", "run.json", "tensorboard"
LAST, BEST = "last", "best"


class RunFolder:
    """A run's folder, given to the run that its card tells."""

    def __init__(self, path: Path, card: Card) -> None:
        self.path, self.card = path, card

    def prepare(self, *, overwrite: bool) -> None:
        """Make it, or see that what is there is of the same run.

        Raises OtherConfigurationError, naming what differs, unless it may be overwritten.
        """
        found = self._found_card()
        if found is not None and found.fingerprint != self.card.fingerprint:
            if not overwrite:
                changes = differences(
                    {**found.config, "inputs": found.inputs, "schema": found.schema_version},
                    {**self.card.config, "inputs": self.card.inputs, "schema": self.card.schema_version},
                )  # fmt: skip
                raise OtherConfigurationError(
                    f"{self.path}: holds another run: {'; '.join(changes)}. Give this one another "
                    "name, or replace that one with --overwrite"
                )
            remove(self.path)
        elif overwrite:
            remove(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / CARD).exists():
            _write_json(self.path / CARD, self.card.to_dict())

    def _found_card(self) -> Card | None:
        path = self.path / CARD
        if path.is_file():
            return Card.from_dict(json.loads(path.read_bytes()), where=str(path))
        return read_meta(self.last).run if has_checkpoint(self.last) else None

    @property
    def last(self) -> Path:
        """Where the run stands."""
        return self.path / LAST

    @property
    def best(self) -> Path:
        """The best by the task's headline on held rows."""
        return self.path / BEST

    def result(self) -> JsonDict | None:
        """What a finished run wrote, None before."""
        path = self.path / RESULT
        return json.loads(path.read_bytes()) if path.is_file() else None

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Say that the run is finished, and how it ended."""
        _write_json(self.path / RESULT, result)

    def metrics(self) -> list[JsonDict]:
        """The lines logged so far, one an epoch; a last line that was cut off is left out."""
        path = self.path / METRICS
        lines = path.read_text().splitlines() if path.is_file() else []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found


class MetricsLog:
    """Writes `metrics.jsonl` and TensorBoard events; goes on from a step that was saved."""

    def __init__(self, folder: RunFolder, step: int) -> None:
        kept = [line for line in folder.metrics() if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        path = folder.path / METRICS
        with partial_path(path) as partial:
            partial.write_text(text)
            commit(partial, path)
        self._path = path
        self._board = _tensorboard(folder.path / EVENTS, step)

    @property
    def has_tensorboard(self) -> bool:
        """False where its package is not installed."""
        return self._board is not None

    def epoch(self, line: Mapping[str, float]) -> None:
        """Add an epoch's measures."""
        plain = {key: _plain(value) for key, value in line.items()}
        with open(self._path, "a") as file:
            file.write(json.dumps(plain) + "\n")
        self.step(int(line["step"]), {k: v for k, v in line.items() if k not in ("step", "epoch")})
        if self._board:
            self._board.flush()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Add curves' points, to TensorBoard only."""
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


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with partial_path(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n")
        commit(partial, path)
