"""Pools whose processes are killed, as for want of memory, at the worst moments."""

import os
import signal
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from stages.machine.pool import Pool


class KilledPool(Pool):
    """Stands in for `Pool` where a stage makes one: killed as soon as it is given something."""

    def submit(self, *arguments: Any, **named: Any) -> Future[Any]:
        """Submit, and kill every process: a spawned one has not even begun by then."""
        future = super().submit(*arguments, **named)
        for process in list((self._processes or {}).values()):
            with suppress(ProcessLookupError):  # it is dead, and was waited for
                os.kill(process.pid, signal.SIGKILL)
        return future


class DiesWhileStarting(Pool):
    """The first process dies while the second starts, and that is noticed at once."""

    def _spawn_process(self) -> None:
        if self._processes:
            (first,) = self._processes.values()
            os.kill(first.pid, signal.SIGKILL)
            while self._executor_manager_thread is not None and not self._broken:
                time.sleep(0.01)
        super()._spawn_process()


class DiesBetweenTasks(Pool):
    """All processes of the first pool die after its first task was given, and that is noticed at once."""

    happened = False

    def submit(self, *arguments: Any, **named: Any) -> Future[Any]:
        """Submit the first task, kill, wait until the pool knows; then as it is."""
        if not self._pending_work_items and not self._queue_count:
            return super().submit(*arguments, **named)
        if not DiesBetweenTasks.happened:
            DiesBetweenTasks.happened = True
            for process in list((self._processes or {}).values()):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            while self._executor_manager_thread is not None and not self._broken:
                time.sleep(0.01)
        return super().submit(*arguments, **named)
