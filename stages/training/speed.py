"""How fast a training is: its arithmetic, what the GPU could do, and how long all of it would take."""

import copy
import time
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stages.progress import duration
from stages.training.draws import plain_draws
from stages.training.task import Task

PROBE_ROWS = 8
# Who asked for no device and would wait longer than this on a CPU is asked first.
PATIENCE_S = 12 * 3600.0
# Dense bfloat16 tensor operations a second, from NVIDIA's data sheets, by a part of the name.
PEAK_FLOPS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "B200": 2250e12, "A100": 312e12,
    "L40S": 362e12, "L40": 181e12, "A6000": 155e12, "A5000": 111e12, "A40": 150e12,
    "RTX 4090": 165e12, "RTX 3090": 71e12, "A10": 125e12,
}  # fmt: skip


def flops_per_row(task: Task, device: torch.device) -> float:
    """Count the floating-point operations of a training step, a row; on a copy of the model."""
    probe = copy.deepcopy(task.model).to(device).train()
    with FlopCounterMode(display=False) as counter:
        num_rows = _probe_step(task, probe, device)
    return counter.get_total_flops() / num_rows


def peak_flops(device: torch.device) -> float | None:
    """What the device could do at best in bfloat16, None if it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


def projected_seconds(task: Task, device: torch.device, num_rows: int) -> float:
    """Time a small step on a copy of the model, and say how long `num_rows` would take."""
    probe = copy.deepcopy(task.model).to(device).train()
    _probe_step(task, probe, device)
    start = time.perf_counter()
    done = _probe_step(task, probe, device)
    return (time.perf_counter() - start) / done * num_rows


def ask_for_patience(task: Task, epochs: int, device: torch.device) -> None:
    """Raise ValueError if a training would take longer than half a day on a CPU."""
    if device.type != "cpu":
        return
    seconds = projected_seconds(task, device, epochs * task.num_rows)
    if seconds > PATIENCE_S:
        raise ValueError(
            f"there is no GPU here, and on this CPU {epochs} epochs of {task.num_rows} would take "
            f"about {duration(seconds)}; ask for it with --device cpu"
        )


def _probe_step(task: Task, model: nn.Module, device: torch.device) -> int:
    rows = torch.arange(min(PROBE_ROWS, task.num_rows))
    # A norm over one row alone would fail; a task with a single row is repeated.
    rows = rows if len(rows) > 1 else rows.repeat(2)
    terms = task.losses(model, rows, plain_draws(0, len(rows), device))
    total: Any = terms.total
    total.backward()
    return len(rows)
