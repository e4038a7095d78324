"""Decodes images in processes of their own, while a model runs.

What the bytes say (corrupt, cut off) makes an image invalid. A process that dies or finds no memory says
nothing of them: its images are tried again one by one, and one at which it happens again is an error.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.machine.pool import Pool
from stages.machine.workers import prepare_worker
from stages.precompute.teacher.clip_images import Pixels, Preprocessing

IMAGES_PER_TASK = 16
BATCHES_AHEAD = 3
DIED = "the process that decodes it died (out of memory, or a crash in a library)"
NO_MEMORY = "there was no memory to decode it"
# None of them says anything of an image.
FAILURES = (BrokenProcessPool, MemoryError, OSError)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Decoded:
    """Pixels (N, S, S, 3) uint8, and why an image could not be decoded: "" if it could, else it is black."""

    pixels: Pixels
    faults: tuple[str, ...]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which images could be decoded, (N,)."""
        return np.array([not fault for fault in self.faults], bool)


class Decoder:
    """Decodes batches of encoded images; a context manager. With no workers, in this process."""

    def __init__(self, preprocessing: Preprocessing, workers: int) -> None:
        self._preprocessing, self._workers = preprocessing, workers
        self._pool = _new_pool(workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, images: Sequence[bytes], names: Sequence[str]) -> "Pending":
        """Start to decode a batch; `names` are for errors."""
        cuts = [slice(n, n + IMAGES_PER_TASK) for n in range(0, len(images), IMAGES_PER_TASK)]
        return Pending(self, [(images[cut], names[cut], self._start(images[cut])) for cut in cuts])

    def _start(self, images: Sequence[bytes]) -> Future[Decoded]:
        try:
            return self._pool.submit(decode_batch, self._preprocessing, images)
        except BrokenProcessPool:
            self._pool = _new_pool(self._workers)
            return self._pool.submit(decode_batch, self._preprocessing, images)

    def one_by_one(self, images: Sequence[bytes], names: Sequence[str]) -> Decoded:
        """Decode images each by itself. Raises OSError naming one at which that fails."""
        done = []
        with _new_pool(min(self._workers, 1)) as pool:
            for image, name in zip(images, names, strict=True):
                try:
                    done.append(pool.submit(decode_batch, self._preprocessing, [image]).result())
                except FAILURES as error:
                    raise OSError(f"{name}: {_said(error)}; run the same command again") from None
        return _joined(done)


class Pending:
    """A batch that is being decoded: parts of it, their names, and what will come of them."""

    def __init__(
        self,
        decoder: Decoder,
        parts: list[tuple[Sequence[bytes], Sequence[str], Future[Decoded]]],
    ) -> None:
        self._decoder, self._parts = decoder, parts

    def result(self) -> Decoded:
        """Wait for it. Raises OSError naming an image at which a process died or found no memory."""
        return _joined([self._finish(*part) for part in self._parts])

    def _finish(
        self, images: Sequence[bytes], names: Sequence[str], task: Future[Decoded]
    ) -> Decoded:
        try:
            return task.result()
        except FAILURES:
            return self._decoder.one_by_one(images, names)


class _ThisProcess(Executor):
    """Does what is submitted at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _new_pool(workers: int) -> Executor:
    if not workers:
        return _ThisProcess()
    return Pool(workers, prepare_worker)


def decode_batch(preprocessing: Preprocessing, images: Sequence[bytes]) -> Decoded:
    """Decode images one after another."""
    size = preprocessing.size
    pixels = np.zeros((len(images), size, size, 3), np.uint8)
    faults = [""] * len(images)
    for index, image in enumerate(images):
        try:
            pixels[index] = preprocessing(image)
        except ValueError as error:
            faults[index] = str(error) or type(error).__name__
    return Decoded(pixels, tuple(faults))


def started_ahead(batches: Iterable[Item]) -> Iterator[Item]:
    """Pass batches on, keeping some more started: they start when they are taken from `batches`."""
    waiting: deque[Item] = deque()
    for item in batches:
        waiting.append(item)
        if len(waiting) > BATCHES_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _joined(parts: Sequence[Decoded]) -> Decoded:
    pixels = np.concatenate([part.pixels for part in parts])
    return Decoded(pixels, tuple(fault for part in parts for fault in part.faults))


def _said(error: BaseException) -> str:
    match error:
        case BrokenProcessPool():
            return DIED
        case MemoryError():
            return NO_MEMORY
    return str(error)
