"""Decodes images in processes of their own, while a model runs.

Only an image's own bytes can make it invalid. A process that dies, or memory that runs out, says
nothing of the image: its part is tried again image by image, and if one fails then too, all of the batch
does, so that nothing is stored for it.
"""

import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stages.precompute.clip_images import Pixels, Preprocessing, decode_or_none

IMAGES_PER_TASK = 16
DIED = "the process that decodes it died (out of memory, or a crash in a library)"
NO_MEMORY = "there was no memory to decode it"

Decoded = tuple[Pixels, NDArray[np.bool_]]


class DecodingError(OSError):
    """An image could not be tried: `index` in its batch. It may do at another time."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"image {index} of its batch: {why}; run the same command again")
        self.index, self.why = index, why


class Decoder:
    """Turns encoded images into (N, S, S, 3) pixels and which of them are valid; a context manager.

    With no workers it decodes in this process.
    """

    def __init__(self, preprocessing: Preprocessing, workers: int) -> None:
        self._preprocessing, self._workers = preprocessing, workers
        self._pool = self._new_pool(workers) if workers else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, images: Sequence[bytes]) -> "Pending":
        """Start to decode a batch."""
        parts = [images[n : n + IMAGES_PER_TASK] for n in range(0, len(images), IMAGES_PER_TASK)]
        return Pending(self, [(part, self._start(part)) for part in parts])

    def _start(self, images: Sequence[bytes]) -> Future[Decoded] | None:
        if self._pool is None:
            return None
        try:
            return self._pool.submit(decode_batch, self._preprocessing, images)
        except BrokenProcessPool:
            self._pool = self._new_pool(self._workers)
            return self._pool.submit(decode_batch, self._preprocessing, images)

    def finish(self, images: Sequence[bytes], task: Future[Decoded] | None) -> Decoded:
        """Wait for one part of a batch. Raises DecodingError for an image that fails twice."""
        try:
            return task.result() if task else decode_batch(self._preprocessing, images)
        except (BrokenProcessPool, MemoryError):
            pass  # whichever image it was, each is tried once more
        each = [self._alone(index, image) for index, image in enumerate(images)]
        return np.concatenate([pixels for pixels, _ in each]), np.concatenate([v for _, v in each])

    def _alone(self, index: int, image: bytes) -> Decoded:
        try:
            if self._pool is None:
                return decode_batch(self._preprocessing, [image])
            with self._new_pool(1) as pool:
                return pool.submit(decode_batch, self._preprocessing, [image]).result()
        except BrokenProcessPool:
            raise DecodingError(index, DIED) from None
        except MemoryError:
            raise DecodingError(index, NO_MEMORY) from None

    @staticmethod
    def _new_pool(workers: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_ctrl_c)


class Pending:
    """A batch that is being decoded."""

    def __init__(
        self, decoder: Decoder, parts: list[tuple[Sequence[bytes], Future[Decoded] | None]]
    ) -> None:
        self._decoder, self._parts = decoder, parts

    def result(self) -> Decoded:
        """Wait for it: pixels (N, S, S, 3) uint8, and valid (N,); invalid ones are black.

        Raises DecodingError.
        """
        done: list[Decoded] = []
        for number, (images, task) in enumerate(self._parts):
            try:
                done.append(self._decoder.finish(images, task))
            except DecodingError as error:
                raise DecodingError(number * IMAGES_PER_TASK + error.index, error.why) from None
        return np.concatenate([pixels for pixels, _ in done]), np.concatenate([v for _, v in done])


def decode_batch(preprocessing: Preprocessing, images: Sequence[bytes]) -> Decoded:
    """Decode images one after another."""
    pixels, valid = blank(preprocessing, len(images))
    for index, image in enumerate(images):
        decoded = decode_or_none(preprocessing, image)
        if decoded is not None:
            pixels[index], valid[index] = decoded, True
    return pixels, valid


def blank(preprocessing: Preprocessing, count: int) -> Decoded:
    """Black images that are not valid."""
    size = preprocessing.size
    return np.zeros((count, size, size, 3), np.uint8), np.zeros(count, bool)


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
