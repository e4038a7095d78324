"""A training small enough to run in a blink: lines fitted by a network with batch norm and dropout."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cache.card import Card
from cache.checkpoint import STATE, WEIGHTS, read_arrays, read_meta
from cache.runs import METRICS, RunFolder
from stages.loop.batch_norm import BatchNorm1d
from stages.loop.loop import Outcome, train
from stages.loop.loop_config import LoopConfig
from stages.loop.processes import Processes
from stages.loop.random_numbers import Draws
from stages.loop.task import Task, Terms

CPU = torch.device("cpu")
ROWS = 40
CONFIG = LoopConfig(
    epochs=6, batch=8, lr=0.01, warmup_epochs=1, weight_decay=0.01, precision="fp32", seed=3
)


class Net(nn.Module):
    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 8, bias=False),
            BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(8, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def toy(dropout: float = 0.2, poison_row: int | None = None) -> Task:
    """The task; a poisoned row makes the loss infinite."""
    torch.manual_seed(0)
    x = torch.randn(ROWS, 3)
    y = x.sum(dim=1, keepdim=True)
    if poison_row is not None:
        y[poison_row] = torch.inf

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        noisy = x[rows] + 0.05 * draws.uniform(3)
        error = (model(noisy) - y[rows]).square().mean()
        return Terms(error, {"noise": noisy.std()})

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        return {"val_error": (model(x) - x.sum(dim=1, keepdim=True)).square().mean().item()}

    return Task(
        model=Net(dropout),
        about={"kind": "toy"},
        num_rows=ROWS,
        losses=losses,
        inputs=lambda rows: {"x": x[rows]},
        evaluate=evaluate,
        headline="val_error",
        larger_is_better=False,
    )


def run_toy(
    folder: Path,
    config: LoopConfig = CONFIG,
    *,
    task: Task | None = None,
    stop_after_epoch: int | None = None,
    processes: Processes | None = None,
    overwrite: bool = False,
) -> Outcome:
    card = Card("toy", 1, config.model_dump(mode="json"), {})
    run, processes = RunFolder(folder, card, overwrite=overwrite), processes or Processes()
    with run.opened(processes):
        return train(
            task or toy(), config, run, device=CPU, processes=processes,
            stop_after_epoch=stop_after_epoch,
        )  # fmt: skip


TIMED = ("samples_per_s",)


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMED} for line in lines]


def assert_same_run(first: Path, second: Path) -> None:
    for name in (WEIGHTS, STATE):
        a, b = (read_arrays(folder / "last", name) for folder in (first, second))
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    a, b = (read_meta(folder / "last") for folder in (first, second))
    assert a.position.keys() == b.position.keys()
    assert {**a.position, "best": 0} == {**b.position, "best": 0}
    assert a.position["best"]["epoch"] == b.position["best"]["epoch"]
    assert metrics(first) == metrics(second)
    for key, value in read_arrays(first / "best", WEIGHTS).items():
        np.testing.assert_array_equal(value, read_arrays(second / "best", WEIGHTS)[key])


def failing(task: Task, at_call: int, error: Exception) -> Task:
    """Raise an error in the middle of a step."""
    calls = 0

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        nonlocal calls
        calls += 1
        if calls == at_call:
            raise error
        return task.losses(model, rows, draws)

    return replace(task, losses=losses)
