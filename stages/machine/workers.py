"""Runs one function over many jobs in processes, where a bad job fails alone.

Processes are spawned, never forked: a forked copy of an open Zarr store deadlocks.
"""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.sharedctypes import RawArray
from typing import Any, Generic, Protocol, TypeVar

from stages.machine.pool import Pool

Job = TypeVar("Job")
Result = TypeVar("Result")
JobIn = TypeVar("JobIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

POLL_INTERVAL_S = 0.2
STARTS = 3  # of workers that die before any has begun a job; then there is no use
DIED = "its worker process died (out of memory, or a crash in a library)"


class Work(Protocol[JobIn, ResultOut]):
    """The function to run: it reports how much it has done through `advance(total so far)`."""

    def __call__(self, job: JobIn, advance: Callable[[int], None], /) -> ResultOut: ...


@dataclass(frozen=True)
class Outcome(Generic[Job, Result]):
    """What became of one job: a result, or an error with its traceback."""

    job: Job
    result: Result | None = None
    error: str | None = None
    trace: str = ""


def run_all(
    work: Work[Job, Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    update: Callable[[int], None],
) -> Iterator[Outcome[Job, Result]]:
    """Yield the outcome of each job as it ends; `update` is told the sum of all progress.

    With one worker everything runs in this process. An exception fails its job only, and so does a
    worker that dies (killed for memory, a crash in a library): what ran beside it is run again.
    """
    if workers <= 1 or len(jobs) <= 1:
        yield from _run_here(work, jobs, update)
        return
    progress = RawArray("q", len(jobs))
    left = dict(enumerate(jobs))
    suspects: list[int] = []
    futile = 0
    while left or suspects:
        # After a death, whoever was running is tried alone, to tell the culprit from bystanders.
        batch = [suspects.pop(0)] if suspects else list(left)
        alone, ended = len(batch) == 1, 0
        for index, outcome in _run_pool(work, jobs, batch, workers, progress, update):
            if outcome is None and not alone:
                suspects.append(index)
            else:
                yield outcome or Outcome(jobs[index], error=DIED)
            left.pop(index, None)
            ended += 1
        futile = 0 if ended else futile + 1
        if not ended and not left.keys() >= set(batch):  # one tried alone, that has not begun
            suspects += batch
        if futile == STARTS:  # the workers cannot even start
            yield from (Outcome(jobs[index], error=DIED) for index in (*left, *suspects))
            return


def _run_here(
    work: Work[Job, Result], jobs: Sequence[Job], update: Callable[[int], None]
) -> Iterator[Outcome[Job, Result]]:
    finished = 0
    for job in jobs:
        current = 0

        def advance(total: int, base: int = finished) -> None:
            nonlocal current
            current = total
            update(base + total)

        with _listening() as interrupt:
            outcome = _attempt(work, job, advance)
        if interrupt.asked:
            raise KeyboardInterrupt
        yield outcome
        finished += current


class _Interrupt:
    """Remembers a first Ctrl-C; the second one is raised where the program is."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, signum: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        text = "what is running is finished first; press Ctrl-C again to stop now"
        print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def _listening() -> Iterator[_Interrupt]:
    """Let Ctrl-C wait until what runs has ended, with one worker as with many; twice is now.

    Whatever SIGINT did before: a shell that starts a job in the background has it ignored.
    """
    interrupt = _Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _run_pool(
    work: Work[Job, Result],
    jobs: Sequence[Job],
    batch: Sequence[int],
    workers: int,
    progress: Any,
    update: Callable[[int], None],
) -> Iterator[tuple[int, Outcome[Job, Result] | None]]:
    """Yield (job index, outcome), outcome None for jobs that were running when a worker died."""
    executor = Pool(min(workers, len(batch)), _start_worker, (progress,))
    with _listening() as interrupt:
        try:
            waiting: dict[Future[Outcome[Job, Result]], int] = {}
            with suppress(BrokenProcessPool):  # a worker died: what was not given stays in line
                for index in batch:
                    waiting[executor.submit(_in_worker, work, jobs[index], index)] = index
            while waiting:
                done, _ = wait(waiting, POLL_INTERVAL_S, FIRST_COMPLETED)
                update(sum(max(0, done_so_far) for done_so_far in progress))
                for future in done:
                    index = waiting.pop(future)
                    try:
                        yield index, future.result()
                    except BrokenProcessPool:
                        if _was_started(progress, index):
                            yield index, None
                if interrupt.asked:
                    raise KeyboardInterrupt
        finally:
            _shut_down(executor)


def _shut_down(executor: Pool) -> None:
    """Let the running jobs end, start no more; Ctrl-C meanwhile kills them."""
    try:
        executor.shutdown(wait=True, cancel_futures=True)
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.kill()
        raise


def _was_started(progress: Any, index: int) -> bool:
    """A job that never began stays in line; `_in_worker` marks the others by -1 or progress."""
    started = bool(progress[index])
    progress[index] = 0
    return started


_progress: Any = None


def _start_worker(progress: Any) -> None:
    global _progress
    _progress = progress
    prepare_worker()


def prepare_worker() -> None:
    """Leave Ctrl-C to the parent of this process, and end when it ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for_any([parent.sentinel])
    os._exit(1)


def _in_worker(work: Work[Job, Result], job: Job, index: int) -> Outcome[Job, Result]:
    _progress[index] = -1

    def advance(total: int) -> None:
        _progress[index] = total

    outcome = _attempt(work, job, advance)
    if _progress[index] < 0:
        _progress[index] = 0
    return outcome


def _attempt(
    work: Work[Job, Result], job: Job, advance: Callable[[int], None]
) -> Outcome[Job, Result]:
    try:
        return Outcome(job, result=work(job, advance))
    except (ValueError, OSError) as error:  # what a user's data can cause
        return Outcome(job, error=str(error), trace=traceback.format_exc())
    except MemoryError as error:
        message = str(error) or "there was not enough memory"
        return Outcome(job, error=message, trace=traceback.format_exc())
    except Exception as error:
        message = f"{type(error).__name__}: {error} (a fault of ours; --debug shows where)"
        return Outcome(job, error=message, trace=traceback.format_exc())
