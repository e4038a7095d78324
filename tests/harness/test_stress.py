"""The stress runner, on a test of a moment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.harness.running import LAST_RESORT_S
from tests.harness.stress import Pass, busy, passes, read_log, run_all

pytestmark = pytest.mark.processes

TEST = """
import signal
from pathlib import Path

def test_it():
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    with open(Path(__file__).with_name("ran"), "a") as file:
        file.write("x")
    assert not Path(__file__).with_name("bad").exists()
"""


@pytest.fixture
def todo(tmp_path: Path) -> list[Pass]:
    (tmp_path / "test_moment.py").write_text(TEST)
    (tmp_path / "ran").touch()
    words = ("-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path / "test_moment.py"))
    return [Pass("one", words), Pass("two", words)]


def test_passes_of_the_same_commit_are_not_run_again(tmp_path: Path, todo: list[Pass]) -> None:
    log = tmp_path / "logs" / "log.txt"
    assert run_all(todo[:1], log, "abc") == []
    assert (tmp_path / "ran").read_text() == "x"
    assert run_all(todo, log, "abc") == []
    assert (tmp_path / "ran").read_text() == "xx"
    assert read_log(log, "abc") == {"one": "passed", "two": "passed"}
    assert [line.split()[:3] for line in log.read_text().splitlines()] == [
        ["abc", "one", "passed"], ["abc", "two", "passed"],
    ]  # fmt: skip
    assert all("1 passed" in line for line in log.read_text().splitlines())
    assert list(log.parent.iterdir()) == [log]
    run_all(todo[:1], log, "def")
    run_all(todo[:1], log, None)
    assert (tmp_path / "ran").read_text() == "xxxx"


def test_a_failure_is_named_and_its_output_stays(tmp_path: Path, todo: list[Pass]) -> None:
    log = tmp_path / "log.txt"
    (tmp_path / "bad").touch()
    assert run_all(todo, log, "abc") == ["one", "two"]
    assert "assert not" in (tmp_path / "one.txt").read_text()
    assert "1 failed" in log.read_text()
    (tmp_path / "bad").unlink()
    assert run_all(todo, log, "abc") == ["one", "two"]  # as the log has it
    assert (tmp_path / "ran").read_text() == "xx"


def test_the_loops_end() -> None:
    with busy(2) as loops:
        assert [loop.poll() for loop in loops] == [None, None]
    assert [loop.returncode for loop in loops] == [-signal.SIGKILL] * 2


def test_what_is_run() -> None:
    names = [item.name for item in passes(2, 1)]
    assert names == ["processes-1", "processes-2", "suite-1"]


def test_stopped_it_takes_its_tests_with_it(tmp_path: Path) -> None:
    """SIGTERM at the runner, while a test of it hangs."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "test_hangs.py").write_text(
        f"import time\ndef test_it():\n    open({str(pipe)!r}, 'w').write('here')\n"
        "    while True: time.sleep(1)\n"
    )
    program = (
        "import signal, sys; from pathlib import Path\n"
        "from tests.harness.stress import Pass, run_all\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"run_all([Pass('one', ('--rootdir', {str(tmp_path)!r}, {str(tmp_path)!r}))], "
        f"Path({str(tmp_path / 'log.txt')!r}), 'abc')\n"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert pipe.read_text() == "here"
    runner.send_signal(signal.SIGTERM)
    runner.communicate(timeout=LAST_RESORT_S)
    assert runner.returncode == 143
    assert not (tmp_path / "log.txt").exists()
