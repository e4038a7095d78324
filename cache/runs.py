"""The folder of one run: its checkpoints, what it logged, its result."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from cache.card import Card, CardError, JsonDict, OtherConfigurationError, differences
from cache.checkpoint import has_checkpoint
from cache.commit import LockedError, commit, lock, partial_path, remove

METRICS, RESULT, CARD, EVENTS = "metrics.jsonl", "result.json", "run.json", "tensorboard"
SHOWN = "shown.json"
PRETRAINING = "pre-training"  # what a card calls such a run
FINE_TUNING = "fine-tuning"  # what a card calls such a run, before its task
SCRATCH = "scratch"  # instead of a checkpoint: none
LAST, BEST, KEPT, NONFINITE = "last", "best", "kept", "nonfinite"


class Together(Protocol):
    """The processes of one training, as one of them knows them."""

    @property
    def is_first(self) -> bool:
        """Whether this one writes."""

    def wait(self) -> None:
        """Wait until all have come here."""


class RunFolder:
    """A run's folder: from its first step on it is the run's that its card tells.

    A folder without a checkpoint, a line in the log or a result is nobody's, whatever its card says.
    One that is to be overwritten stays as it is until the new run has made a step.
    """

    def __init__(
        self, path: Path, card: Card, *, overwrite: bool = False, label: str | None = None
    ) -> None:
        self.path, self.card, self._label = path, card, label
        self._overwrites, self._is_taken = overwrite, False

    @contextmanager
    def opened(self, processes: Together) -> Iterator[None]:
        """Keep other runs off it until the context ends. Of several processes the first one does.

        Raises OtherConfigurationError, naming what differs, if it is another run's and is not to be
        overwritten, and LockedError if another process trains in it.
        """
        with self.held() if processes.is_first else nullcontext():
            if processes.is_first and not self._overwrites:
                self._check()
            processes.wait()
            yield

    def _check(self) -> None:
        if changes := self.other_run():
            raise OtherConfigurationError(
                f"{self.path}: holds another run: {'; '.join(changes)}. Give this one another "
                "name, or replace that one with --overwrite"
            )

    def other_run(self) -> list[str]:
        """How the run that lies in it differs from this one, nothing if it does not. Raises CardError."""
        found = read_card(self.path)
        if found is None or found.fingerprint == self.card.fingerprint or not self._is_begun:
            return []
        return differences(
            {**found.config, "inputs": found.inputs, "schema": found.schema_version},
            {**self.card.config, "inputs": self.card.inputs, "schema": self.card.schema_version},
        )

    def take(self) -> None:
        """Make it this run's, before the first thing is written to it; later calls do nothing."""
        if self._is_taken:
            return
        if self._overwrites:
            remove(self.path)
        elif not self._is_begun:
            for name in (CARD, METRICS, EVENTS, NONFINITE):
                remove(self.path / name)
        for probed in self.path.glob("probe_*"):  # of weights that are trained on now
            remove(probed)
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / CARD).exists():
            write_json(self.path / CARD, self.card.to_dict())
        self._is_taken = True

    @property
    def _is_begun(self) -> bool:
        """True if there is something that a run would miss."""
        found = [name for name in (BEST, KEPT, RESULT) if (self.path / name).exists()]
        return bool(found or has_checkpoint(self.last) or read_metrics(self.path))

    @property
    def label(self) -> str:
        """What progress calls it: the last two parts of its path, unless it has another name."""
        return self._label or "/".join(self.path.parts[-2:])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes off it, until the context ends. Raises LockedError if one is at it."""
        with ExitStack() as stack:
            try:
                path = self.path.parent / ".locks" / self.path.name
                stack.enter_context(lock(path, wait=False, keep=False))
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
    def starts_anew(self) -> bool:
        """True if what lies in it is another run's still, to be overwritten."""
        return self._overwrites and not self._is_taken

    @property
    def is_finished(self) -> bool:
        """True if the run's result is there."""
        return not self.starts_anew and (self.path / RESULT).is_file()

    def write_shown(self, shown: Mapping[str, Any]) -> None:
        """Keep what figures show; written before the result."""
        if shown:
            write_json(self.path / SHOWN, shown, indent=None)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Say that the run is finished, and how it ended."""
        write_json(self.path / RESULT, result)


def probe_file(run: Path, data: str) -> Path:
    """What a probe of a run's weights on some data found."""
    return run / f"probe_{data}.json"


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
    try:
        raw = json.loads(path.read_bytes())
    except ValueError as error:
        raise CardError(f"{path}: damaged: {error}; move the run's folder away") from None
    return Card.from_dict(raw, where=str(path))


def read_result(folder: Path) -> JsonDict | None:
    """What a finished run wrote, None before."""
    path = folder / RESULT
    return json.loads(path.read_bytes()) if path.is_file() else None


def read_shown(folder: Path) -> JsonDict:
    """What figures show of a run."""
    path = folder / SHOWN
    return json.loads(path.read_bytes()) if path.is_file() else {}


def write_json(path: Path, value: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write a file of plain JSON types, whole or not at all."""
    with partial_path(path) as partial:
        partial.write_text(json.dumps(value, indent=indent) + "\n")
        commit(partial, path)
