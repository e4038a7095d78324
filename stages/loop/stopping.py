"""SIGTERM, Ctrl-C and a closed terminal (SIGHUP): finish the step, save, and leave."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """`asked` is the signal that asked to stop, None before; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Take a signal."""
        if self.asked is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number)

    @property
    def number(self) -> int:
        """The signal's number, 0 if none came."""
        return self.asked or 0


@contextmanager
def listening() -> Iterator[Stop]:
    """Take SIGTERM, Ctrl-C and SIGHUP until the context ends; SIGHUP not if nohup has it ignored."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python allows it only there
        yield stop
        return
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
