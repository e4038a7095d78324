"""Commands as processes of their own: started, read until they say something, signalled."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

from tests.conftest import REPOSITORY


def start(arguments: Sequence[str], **environment: str) -> "subprocess.Popen[str]":
    """Start Python with some arguments; both its streams are pipes."""
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def read_until(process: "subprocess.Popen[str]", text: str) -> None:
    """Read its stderr up to a line with a text in it; fails if it ends before."""
    assert process.stderr
    before = []
    for line in process.stderr:
        if text in line:
            return
        before.append(line)
    raise AssertionError(f"it ended before it said {text!r}: {''.join(before)}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])
