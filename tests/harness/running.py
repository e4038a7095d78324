"""Commands as processes of their own: started, read until they say something, signalled."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Timer

from tests.conftest import REPOSITORY

# Tests wait for what happens, not for time to pass. This only ends what would otherwise hang.
LAST_RESORT_S = 900.0


WITH_SIGINT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.Handlers(int(sys.argv[1])))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def start(
    arguments: Sequence[str], *, sigint: signal.Handlers = signal.SIG_DFL, **environment: str
) -> "subprocess.Popen[str]":
    """Start Python with some arguments; both its streams are pipes.

    SIG_IGN for `sigint` is how a shell starts what is to run in the background.
    """
    return subprocess.Popen(
        [sys.executable, "-c", WITH_SIGINT, str(int(sigint)), *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def read_until(process: "subprocess.Popen[str]", text: str) -> None:
    """Read its stderr up to a line with a text in it; fails if it ends before."""
    assert process.stderr
    before = []
    watch = Timer(LAST_RESORT_S, process.kill)
    watch.start()
    try:
        for line in process.stderr:
            if text in line:
                return
            before.append(line)
    finally:
        watch.cancel()
    raise AssertionError(f"it ended before it said {text!r}: {''.join(before)}")


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to nobody who asks for any."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as free, suppress(OSError):
            free.bind(("", port))
            return port
    raise AssertionError("no port is free")
