"""Progress of a long step: a bar with rate and time left, plain lines when not on a terminal."""

import io
import os
import sys
import time
from contextlib import suppress
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

PLAIN_INTERVAL_S = 10.0
WARM_UP_S = 1.0


class _Lasting(io.FileIO):
    """Writes to a file's number; what cannot be written goes nowhere."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def lasting(stream: TextIO | None) -> TextIO:
    """The same stream, on which nothing fails when its reader is gone (`2>&1 | tee log`) or its disk full.

    Of one that was closed before we began, None, a stream that goes nowhere.
    """
    if stream is None:
        return open(os.devnull, "w")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # PYTHONUNBUFFERED leaves the buffer out
    if not isinstance(raw, io.FileIO) or isinstance(raw, _Lasting):
        return stream
    with suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )


def outlive_readers() -> None:
    """Let no work end because nobody reads what it prints any more."""
    if sys.stdout is sys.__stdout__:  # else it is captured
        sys.stdout = lasting(sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = lasting(sys.stderr)


_silent = False


def silence() -> None:
    """Show no progress in this process any more: it is one of several, whose parent shows theirs."""
    global _silent
    _silent = True


class Progress:
    """Counts `unit`s towards `total` on stderr, whether it is read or not; a context manager."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._last_line = time.monotonic()
        self._first: tuple[float, int] | None = None  # when something was done first, and how much
        self._bar: Bar | None = None
        self._stream = lasting(None if _silent else sys.stderr)
        if self._stream.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=Console(file=self._stream))
            self._task = self._bar.add_task(label, total=total, rate="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int) -> None:
        """Set how many are done."""
        now = time.monotonic()
        if self._first is None and done:
            self._first = now, done
        # Starting processes is not work: the rate counts from the first thing done.
        since, before = self._first or (now, done)
        rate = (done - before) / (now - since) if now - since > WARM_UP_S else 0.0
        if self._bar:
            speed = f"{rate:.3g} {self._unit}/s" if rate else ""
            self._bar.update(self._task, completed=done, rate=speed)
        elif now - self._last_line >= PLAIN_INTERVAL_S and rate:
            self._last_line = now
            left = (self._total - done) / rate
            self.note(
                f"{self._label}: {done}/{self._total} {self._unit}, "
                f"{rate:.3g} {self._unit}/s, {duration(left)} left"
            )

    def note(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Write seconds as `41 s`, `3 min 20 s`, `2 h 05 min` or `4.2 days`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{seconds / 86400:.1f} days"
