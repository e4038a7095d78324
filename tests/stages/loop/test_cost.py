"""What a step costs, counted and projected, without touching the model."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.loop import cost
from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from tests.worlds.toys import CONFIG, CPU, ROWS, toy


def test_operations_are_counted_a_row() -> None:
    x = torch.randn(40, 16)

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        return Terms(model(x[rows]).square().mean())

    task = replace(toy(), model=nn.Linear(16, 32, bias=False), losses=losses)
    # Forward, and backward to the weights; the input needs no gradient. Two for multiply and add.
    assert cost.flops_per_row(task, CPU) == 2 * 2 * 16 * 32
    assert cost.forward_flops(task) == 2 * 16 * 32


def test_products_are_counted_but_not_done() -> None:
    x, seen = torch.randn(40, 6, 16), []

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(16, 48)

        def forward(self, x: Tensor) -> Tensor:
            query, key, value = self.project(x).chunk(3, dim=-1)
            seen.append(query)
            return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        return Terms((model(x[rows]) + 1).square().mean())

    task = replace(toy(), model=Attention(), losses=losses)
    assert cost.forward_flops(task) == 2 * 6 * 16 * 48 + 2 * 2 * 6 * 6 * 16
    assert not seen[0].any()


def test_the_model_is_as_before() -> None:
    task = toy()
    before = {key: value.clone() for key, value in task.model.state_dict().items()}
    assert cost.forward_flops(task) == 2 * (3 * 8 + 8)
    assert all(torch.equal(value, before[key]) for key, value in task.model.state_dict().items())
    assert all(p.grad is None for p in task.model.parameters())
    assert cost.forward_flops(replace(task, num_rows=1)) == 2 * (3 * 8 + 8)


def test_products_have_a_speed() -> None:
    assert cost.product_flops(torch.float32) > 0


def test_a_long_run_is_told_from_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    task = toy()
    monkeypatch.setattr(cost, "product_flops", lambda dtype: 1e6)
    step = 3 * 2 * (3 * 8 + 8)  # of a row, forward and back
    seconds = cost.projected_seconds(task, CONFIG)
    assert seconds == pytest.approx(step * ROWS * CONFIG.epochs / 0.5e6)
    cost.ask_for_patience(task, CONFIG, CPU)
    monkeypatch.setattr(cost, "PATIENCE_S", 0.99 * seconds)
    with pytest.raises(ValueError, match=r"on this CPU 6 epochs of 40 would take about .*--device"):
        cost.ask_for_patience(task, CONFIG, CPU)


def test_peaks_are_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cost.peak_flops(CPU) is None
    gpu = torch.device("cuda", 0)
    for name, peak in {
        "NVIDIA H200": 989e12,
        "NVIDIA A100-SXM4-80GB": 312e12,
        "Some GPU": None,
    }.items():
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=name: name)
        assert cost.peak_flops(gpu) == peak
