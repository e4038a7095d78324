"""Progress: said line by line, whether anybody reads it or not."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from stages.machine.progress import Progress, lasting


@pytest.fixture
def broken() -> Iterator[TextIO]:
    """A stream into a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        yield stream


def test_what_is_said_is_there(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w") as file:
        stream = lasting(file)
        assert lasting(stream) is stream
        print("one line", file=stream)
        assert (tmp_path / "log").read_text() == "one line\n"


def test_a_reader_that_is_gone_is_no_error(broken: TextIO) -> None:
    stream = lasting(broken)
    for _ in range(3):
        print("x" * 100_000, file=stream, flush=True)
    stream.close()


def test_a_stream_that_never_was_goes_nowhere() -> None:
    with lasting(None) as stream:
        print("text", file=stream, flush=True)


def test_what_captures_is_left_alone() -> None:
    text = io.StringIO()
    assert lasting(text) is text


def test_progress_goes_on_unread(broken: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", broken)
    monkeypatch.setattr("stages.machine.progress.PLAIN_INTERVAL_S", 0.0)
    monkeypatch.setattr("stages.machine.progress.WARM_UP_S", 0.0)
    with Progress("work", 3, "steps") as progress:
        for done in range(4):
            progress.update(done)
        progress.note("the end")
