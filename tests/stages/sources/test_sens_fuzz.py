"""Mutated `.sens` files: only our own errors, never a crash, never more memory than the file asks."""

import io
import tracemalloc
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.sources.sens import SensReader, check_color, decode_depth
from stages.sources.sens_format import SensError, SensFrameError

SMALL = Path(__file__).parents[2] / "golden" / "sens" / "open_small.sens"
ORIGINAL = SMALL.read_bytes()
NUM_INPUTS = 1_500

edits = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 600), st.integers(0, len(ORIGINAL) - 1)),  # headers, anywhere
        st.binary(min_size=1, max_size=16),
    ),
    min_size=0,
    max_size=6,
)
ends = st.one_of(st.just(len(ORIGINAL)), st.integers(0, len(ORIGINAL)))


def mutate(changes: list[tuple[int, bytes]], end: int) -> bytes:
    """Overwrite some bytes, then cut the file off."""
    data = bytearray(ORIGINAL)
    for offset, value in changes:
        data[offset : offset + len(value)] = value
    return bytes(data[:end])


def read_everything(data: bytes) -> str:
    """Read all frames of one input and say how it went."""
    try:
        sens = SensReader(io.BytesIO(data))
    except SensError as error:
        return "refused" if len(str(error).splitlines()) == 1 else "refused at length"
    rejected = 0
    for frame in sens.walk():
        color, depth = sens.payload(frame)
        try:
            check_color(color, sens.header)
            assert decode_depth(depth, sens.header).size
        except SensFrameError:
            rejected += 1
    return "damaged" if sens.damage else "with bad frames" if rejected else "whole"


def test_mutated_files_raise_only_our_errors(fuzzed: dict[str, int]) -> None:
    @settings(
        max_examples=NUM_INPUTS,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(edits, ends)
    def attempt(changes: list[tuple[int, bytes]], end: int) -> None:
        data = mutate(changes, end)
        tracemalloc.start()
        outcome = read_everything(data)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # A payload is bounded by the file; an inflated depth image by the limit on its size.
        assert most < 3 * len(ORIGINAL) + 3 * 2 * (1 << 25)
        kind = f".sens {outcome}"
        fuzzed[kind] = fuzzed.get(kind, 0) + 1

    attempt()
    assert sum(fuzzed.values()) >= NUM_INPUTS
    assert len(fuzzed) == 4, fuzzed
