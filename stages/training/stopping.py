"""SIGTERM and Ctrl-C: finish the step, save, and leave."""

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


@contextmanager
def listening() -> Iterator[Stop]:
    """Take SIGTERM and Ctrl-C until the context ends."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python allows it only there
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
