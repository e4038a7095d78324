"""Decoding in processes: what the bytes say makes an image invalid, a dying process does not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.precompute.teacher import decoding
from stages.precompute.teacher.clip_images import Preprocessing, open_image
from stages.precompute.teacher.decoding import Decoder, Pending
from tests.conftest import REPOSITORY
from tests.harness.killed_pools import DiesWhileStarting, KilledPool
from tests.stages.precompute.teacher.test_clip_images import CLIP, jpeg

SMALL = Preprocessing(16, "center", CLIP.mean, CLIP.std)


def submitted(decoder: Decoder, images: list[bytes]) -> Pending:
    return decoder.submit(images, [f"row {row}" for row in range(len(images))])


class Dying:
    """Preprocessing that dies, as a broken decoder would, on pictures of one width: always, or once."""

    size = 8

    def __init__(self, width: int, died: Path | None = None) -> None:
        self.width, self.died = width, died

    def __call__(self, encoded: bytes) -> np.ndarray:
        if open_image(encoded).width == self.width and not (self.died and self.died.exists()):
            if self.died:
                self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((8, 8, 3), 7, np.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_keep_their_order(workers: int) -> None:
    images = [jpeg(20 + n, 30) for n in range(40)]
    images[5] = b"nothing"
    with Decoder(SMALL, workers) as decoder:
        first, second = submitted(decoder, images), submitted(decoder, images[:3])
        decoded = first.result()
        assert second.result().pixels.shape == (3, 16, 16, 3)
    assert decoded.valid.tolist() == [n != 5 for n in range(40)]
    assert decoded.faults[5] == "neither JPEG nor PNG: starts with 6e6f7468696e67"
    np.testing.assert_array_equal(decoded.pixels[7], SMALL(images[7]))
    assert not decoded.pixels[5].any()


def test_a_death_that_does_not_happen_again_changes_nothing(tmp_path: Path) -> None:
    images = [jpeg(20, 20), jpeg(30, 30), jpeg(40, 40)]
    with Decoder(Dying(30, tmp_path / "died"), 1) as decoder:  # type: ignore[arg-type]
        decoded = submitted(decoder, images).result()
    assert (tmp_path / "died").exists()
    assert decoded.faults == ("", "", "")
    assert (decoded.pixels == 7).all()


def test_an_image_at_which_every_process_dies_is_named_and_others_go_on() -> None:
    images = [jpeg(20, 20), jpeg(30, 30), jpeg(40, 40)]
    with Decoder(Dying(30), 2) as decoder:  # type: ignore[arg-type]
        bad, good = submitted(decoder, images), submitted(decoder, images[:1])
        with pytest.raises(OSError, match=r"row 1: the process that decodes it died"):
            bad.result()
        assert good.result().faults == ("",)
        assert submitted(decoder, images[2:]).result().faults == ("",)


def test_processes_that_are_killed_say_nothing_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "Pool", KilledPool)
    with (
        Decoder(SMALL, 2) as decoder,
        pytest.raises(OSError, match="row 0: the process that decodes it died"),
    ):
        submitted(decoder, [jpeg(20, 20)]).result()


LITTLE_MEMORY = """
import io, os, resource
from PIL import Image
from stages.precompute.teacher.clip_images import open_image

small, large = io.BytesIO(), io.BytesIO()
Image.new("RGB", (40, 30)).save(small, "JPEG", progressive=True)
Image.new("RGB", (2000, 1500), (40, 90, 200)).save(large, "JPEG", progressive=True)
open_image(small.getvalue())
for megabytes in range(1, 40):
    if os.fork():
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        continue
    used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))
    try:
        print(open_image(large.getvalue()).width, flush=True)
    except MemoryError:
        print("no memory", flush=True)
    os._exit(0)
"""


def test_no_memory_is_never_a_fault_of_the_bytes() -> None:
    """From far too little to enough; in between libjpeg calls a progressive picture broken."""
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY], cwd=REPOSITORY, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert set(done.stdout.splitlines()) == {"no memory", "2000"}


ORPHANS = """
import os, signal
from stages.precompute.teacher.decoding import Decoder
from tests.stages.precompute.teacher.test_decoding import SMALL, jpeg, submitted

if __name__ == "__main__":
    with Decoder(SMALL, 2) as decoder:
        submitted(decoder, [jpeg(20, 20)] * 40).result()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_decoders_end_when_their_parent_is_killed() -> None:
    """They hold its standard output: reading it ends when the last of them does."""
    done = subprocess.run(
        [sys.executable, "-c", ORPHANS], cwd=REPOSITORY, stdout=subprocess.PIPE, timeout=300
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


def test_a_decoder_that_dies_while_another_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "Pool", DiesWhileStarting)
    with Decoder(SMALL, 2) as decoder:
        found = submitted(decoder, [jpeg(20, 20)] * 40).result()
    assert found.valid.all()
