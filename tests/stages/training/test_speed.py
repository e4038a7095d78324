"""What a step costs, counted and projected, without touching the model."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stages.training import speed
from stages.training.draws import Draws
from stages.training.task import Terms
from tests.training_toys import CPU, toy


def test_operations_are_counted_a_row() -> None:
    x = torch.randn(40, 16)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        return Terms(model(x[rows]).square().mean())

    task = replace(toy(), model=nn.Linear(16, 32, bias=False), losses=losses)
    # Forward, and backward to the weights; the input needs no gradient. Two for multiply and add.
    assert speed.flops_per_row(task, CPU) == 2 * 2 * 16 * 32


def test_the_model_is_as_before() -> None:
    task = toy()
    before = {key: value.clone() for key, value in task.model.state_dict().items()}
    seconds = speed.projected_seconds(task, CPU, 1_000_000)
    assert seconds > 0
    assert all(torch.equal(value, before[key]) for key, value in task.model.state_dict().items())
    assert all(p.grad is None for p in task.model.parameters())
    one = replace(task, num_rows=1)
    assert speed.projected_seconds(one, CPU, 1) > 0


def test_peaks_are_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert speed.peak_flops(CPU) is None
    gpu = torch.device("cuda", 0)
    for name, peak in {
        "NVIDIA H200": 989e12,
        "NVIDIA A100-SXM4-80GB": 312e12,
        "Some GPU": None,
    }.items():
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=name: name)
        assert speed.peak_flops(gpu) == peak
