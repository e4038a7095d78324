"""Which device a stage runs on, and that it is the current one."""

import pytest
import torch

from stages.machine import device
from stages.machine.device import choose_device


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Two GPUs that are not there; what was made the current one."""
    made: list[torch.device] = []

    def empty(size: int, *, device: torch.device) -> None:
        if (device.index or 0) > 1:
            raise RuntimeError("CUDA error: invalid device ordinal\nmore")

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(device.torch, "empty", empty)
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return made


def test_a_gpu_that_is_named_is_the_current_one(
    current: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert current == [torch.device("cuda", 1)]
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda", 1)
    assert current == 2 * [torch.device("cuda", 1)]


def test_otherwise_it_stays_as_it_is(current: list[torch.device]) -> None:
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(
        ValueError, match=r"--device cuda:2: not to be had .* invalid device ordinal$"
    ):
        choose_device("cuda:2")
    assert current == []
