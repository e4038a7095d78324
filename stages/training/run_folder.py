"""The folder of one run: its checkpoints, what it logged, its result."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cache.card import Card, JsonDict, OtherConfigurationError, differences
from cache.commit import LockedError, commit, lock, partial_path, remove

METRICS, RESULT, CARD, EVENTS = "metrics.jsonl", "result.json", "run.json", "tensorboard"
SHOWN = "shown.json"
LAST, BEST, KEPT = "last", "best", "kept"


class RunFolder:
    """A run's folder, given to the run that its card tells."""

    def __init__(self, path: Path, card: Card) -> None:
        self.path, self.card = path, card

    def prepare(self, *, overwrite: bool) -> None:
        """Make it, or see that what is there is of the same run.

        Raises OtherConfigurationError, naming what differs, unless it may be overwritten or never
        began, and LockedError if another process trains in it.
        """
        with self.held():
            self._prepare(overwrite)

    def _prepare(self, overwrite: bool) -> None:
        found = read_card(self.path)
        if found is not None and found.fingerprint != self.card.fingerprint:
            if not overwrite and self._has_begun:
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
            write_json(self.path / CARD, self.card.to_dict())

    @property
    def _has_begun(self) -> bool:
        """False for a run that failed before its first step: nothing of it would be lost."""
        return any(child.name != CARD for child in self.path.iterdir())

    @property
    def label(self) -> str:
        """What progress calls it: the last two parts of its path."""
        return "/".join(self.path.parts[-2:])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes off it, until the context ends. Raises LockedError if one is at it."""
        with ExitStack() as stack:
            try:
                stack.enter_context(lock(self.path.parent / ".locks" / self.path.name, wait=False))
            except LockedError:
                raise LockedError(
                    f"{self.path}: another process trains in it now; wait for it, or give this run "
                    "another name"
                ) from None
            yield

    @property
    def last(self) -> Path:
        """Where the run stands."""
        return self.path / LAST

    @property
    def best(self) -> Path:
        """The best by the task's headline on held rows."""
        return self.path / BEST

    def kept(self, epoch: int) -> Path:
        """Weights as they were after an epoch."""
        return self.path / KEPT / f"{epoch:05d}"

    @property
    def is_finished(self) -> bool:
        """True if its result is there."""
        return (self.path / RESULT).is_file()

    def write_shown(self, shown: Mapping[str, Any]) -> None:
        """Keep what figures show; written before the result."""
        if shown:
            write_json(self.path / SHOWN, shown, indent=None)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Say that the run is finished, and how it ended."""
        write_json(self.path / RESULT, result)


def read_metrics(folder: Path) -> list[JsonDict]:
    """The lines that a run logged, one an epoch; a last line that was cut off is left out."""
    path = folder / METRICS
    found = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def read_card(folder: Path) -> Card | None:
    """Which run a folder holds, None if none. Raises CardError."""
    path = folder / CARD
    if not path.is_file():
        return None
    return Card.from_dict(json.loads(path.read_bytes()), where=str(path))


def read_result(folder: Path) -> JsonDict | None:
    """What a finished run wrote, None before."""
    path = folder / RESULT
    return json.loads(path.read_bytes()) if path.is_file() else None


class MetricsLog:
    """Writes `metrics.jsonl` and TensorBoard events; goes on from a step that was saved."""

    def __init__(self, folder: RunFolder, step: int) -> None:
        kept = [line for line in read_metrics(folder.path) if line["step"] <= step]
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


def read_shown(folder: Path) -> JsonDict:
    """What figures show of a run."""
    path = folder / SHOWN
    return json.loads(path.read_bytes()) if path.is_file() else {}


def write_json(path: Path, value: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write a file of plain JSON types, whole or not at all."""
    with partial_path(path) as partial:
        partial.write_text(json.dumps(value, indent=indent) + "\n")
        commit(partial, path)
