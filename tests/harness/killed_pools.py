"""Pools whose processes are killed as soon as they are given something, as for want of memory."""

import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any


class KilledPool(ProcessPoolExecutor):
    """Stands in for `ProcessPoolExecutor` where a stage makes its pool."""

    def submit(self, *arguments: Any, **named: Any) -> Future[Any]:
        """Submit, and kill every process: a spawned one has not even begun by then."""
        future = super().submit(*arguments, **named)
        for process in list((self._processes or {}).values()):
            os.kill(process.pid, signal.SIGKILL)
        return future
