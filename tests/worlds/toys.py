"""A training small enough to run in a blink: lines fitted by a network with batch norm and dropout."""

from pathlib import Path

import torch
from torch import Tensor, nn

from cache.card import Card
from cache.runs import RunFolder
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
