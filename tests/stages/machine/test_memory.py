"""Of its speed a benchmark tells; here only that the C library takes it, and that tensors live on."""

import platform
import subprocess
import sys

import pytest

CODE = """
import torch
from stages.machine.memory import keep_freed_memory
before = torch.arange(1_000_000)
print(keep_freed_memory(), keep_freed_memory())
for _ in range(3):
    del_me = [torch.ones(2_000_000) for _ in range(20)]
assert before.sum() == 499_999_500_000
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_glibc_takes_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert done.stdout == "True True\n"
