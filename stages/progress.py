"""Progress of a long step: a bar with rate and time left, plain lines when not on a terminal."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

PLAIN_INTERVAL_S = 10.0


class Progress:
    """Counts `unit`s towards `total` on stderr; a context manager."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done, self._start = 0, time.monotonic()
        self._last_line = self._start
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(label, total=total, rate="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int) -> None:
        """Set how many are done."""
        self._done = done
        now = time.monotonic()
        rate = done / max(now - self._start, 1e-9)
        if self._bar:
            self._bar.update(self._task, completed=done, rate=f"{rate:.0f} {self._unit}/s")
        elif now - self._last_line >= PLAIN_INTERVAL_S and rate:
            self._last_line = now
            left = (self._total - done) / rate
            self.note(
                f"{self._label}: {done}/{self._total} {self._unit}, "
                f"{rate:.0f} {self._unit}/s, {duration(left)} left"
            )

    def note(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """Write seconds as `41 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
