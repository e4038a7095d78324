import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys, torch
from stages.machine.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else None
def step():
    return [torch.ones(2_000_000) for _ in range(20)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how], check=True, capture_output=True, text=True
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_pages_of_freed_tensors_are_mapped_once() -> None:
    (_, given_back), (kept, once) = _faults("given back"), _faults("kept")
    assert kept == "True"
    assert once < given_back / 5  # by whatever size of pages
