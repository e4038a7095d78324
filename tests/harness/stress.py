"""`make test-stress`: the tests again and again on a busy machine, as a job in the background.

Beside two endless loops, and with Ctrl-C ignored as a shell does for `command &`: the tests that start
processes, wait or signal 20 times, then all tests three times. A line a pass is added to a log. Stopped
and started again it goes on: passes that the log has of the same commit are not run again.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

BUSY_LOOPS = 2
PARALLEL = ("-n", "auto", "--maxprocesses", "8")
PASSED = "passed"


@dataclass(frozen=True)
class Pass:
    """One run of some tests: what the log calls it, and pytest's words."""

    name: str
    words: tuple[str, ...]


def passes(processes: int, suites: int) -> list[Pass]:
    """All that is to be run, in order."""
    marked = [
        Pass(f"processes-{n}", ("-m", "processes and not slow", *PARALLEL))
        for n in range(1, processes + 1)
    ]
    return marked + [
        Pass(f"suite-{n}", ("-m", "not slow", *PARALLEL)) for n in range(1, suites + 1)
    ]


def run_all(todo: Sequence[Pass], log: Path, commit: str | None) -> list[str]:
    """Run what the log does not have of this commit, and return the names of passes that failed.

    Without a commit (changes that are not committed) nothing was run before.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    ended = read_log(log, commit) if commit else {}
    for item in todo:
        if item.name not in ended:
            ended[item.name] = run_pass(item, log, commit or "uncommitted")
    return [item.name for item in todo if ended[item.name] != PASSED]


def read_log(log: Path, commit: str) -> dict[str, str]:
    """How each pass of a commit ended; the last line of a pass counts."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.is_file() else []
    return {words[1]: words[2] for words in lines if len(words) > 2 and words[0] == commit}


def run_pass(item: Pass, log: Path, commit: str) -> str:
    """Run one pass and add its line; the output of one that failed stays beside the log."""
    output, began = log.parent / f"{item.name}.txt", time.monotonic()
    code = run_pytest(item.words, output)
    lines = output.read_text(errors="replace").splitlines()
    summary = lines[-1].strip("= ") if lines else ""
    result = PASSED if code == 0 else "failed"
    with open(log, "a") as file:
        file.write(f"{commit} {item.name} {result} {time.monotonic() - began:.0f}s: {summary}\n")
    print(f"{item.name}: {result}: {summary}", flush=True)
    if code == 0:
        output.unlink()
    return result


def run_pytest(words: Sequence[str], output: Path) -> int:
    """Run pytest in a process group of its own, deaf to Ctrl-C; ended with us. Returns its code."""
    with open(output, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", *words], cwd=REPOSITORY, stdout=file,
            stderr=subprocess.STDOUT, process_group=0, preexec_fn=_ignore_interrupts,
        )  # fmt: skip
    try:
        return process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def busy(count: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Keep so many cores busy until the context ends."""
    with ExitStack() as stack:
        loops = []
        for _ in range(count):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"], process_group=0)
            stack.callback(loop.wait)
            stack.callback(loop.kill)
            loops.append(loop)
        yield loops


def clean_commit() -> str | None:
    """The commit that is checked out, None if files differ from it or this is no checkout."""
    try:
        found = [
            subprocess.run(["git", *words], cwd=REPOSITORY, check=True, capture_output=True, text=True)
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain"))
        ]  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    head, changed = (done.stdout.strip() for done in found)
    return None if changed else head


def main() -> None:
    """Exit 0 if all passes of this commit passed, 1 if one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--processes", type=int, default=20, help="passes of the marked tests")
    parser.add_argument("--suites", type=int, default=3, help="passes of all tests")
    parser.add_argument("--log", type=Path, default=REPOSITORY / "build" / "stress" / "log.txt")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the loops end with us
    try:
        with busy(BUSY_LOOPS):
            failed = run_all(passes(asked.processes, asked.suites), asked.log, clean_commit())
    except KeyboardInterrupt:
        sys.exit("test-stress: stopped; the same command goes on")
    said = f"failed: {', '.join(failed)}; see beside {asked.log}" if failed else "all passed"
    print(f"test-stress: {said}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
