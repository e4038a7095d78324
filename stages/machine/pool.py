"""A pool of spawned processes that fails, and does not hang, when one of them dies."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Pool(ProcessPoolExecutor):
    """Python's own pool, whose spawned processes are all started with its first task.

    Python starts one with each task (CPython gh-90622). One that starts while the death of another is
    being dealt with is never told to end and is waited for without end; and a task that comes just
    then may never be answered.
    """

    def __init__(
        self, workers: int, initializer: Callable[..., object], initargs: tuple[Any, ...] = ()
    ) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(workers, context, initializer, initargs)
        self._safe_to_dynamically_spawn_children = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start a task. Raises BrokenProcessPool if a process has died."""
        future = super().submit(fn, *args, **kwargs)
        if self._broken and not future.done():
            raise BrokenProcessPool(self._broken)
        return future
