"""How fast a training is: its arithmetic, what the GPU could do, and how long all of it would take."""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from stages.loop.loop_config import LoopConfig
from stages.loop.random_numbers import plain_draws
from stages.loop.task import Task
from stages.machine.device import autocast_dtype
from stages.machine.progress import duration

PROBE_ROWS = 8
# Of a projection: rows looked at, what a backward pass costs beside its forward one, and the share of
# the speed of large products that a step reaches on a CPU: measured 0.4 to 0.7 with the paper's networks,
# 0.1 to 0.5 with the demo's, whose time is not in their products.
DRY_ROWS, BACKWARD, EFFICIENCY = 2, 2, 0.5
PRODUCT_SIDE, PRODUCTS_S = 512, 0.2
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


_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention
_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    # The one for the CPU, which torch's own counter leaves out.
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[_ATTENTION],
}


class _Undone(TorchDispatchMode):
    """Counts the operations of matrix products and attention, and leaves them out: they give zeros."""

    flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = _FORMULAS.get(func._overloadpacket)
        if formula is None:
            return func(*args, **kwargs)
        shapes, named = tree_map_only(Tensor, lambda t: t.to("meta"), (args, kwargs))
        found = func(*shapes, **named)
        self.flops += formula(*args, **kwargs, out_val=found)
        return tree_map_only(Tensor, lambda t: torch.zeros_like(t, device="cpu"), found)


@torch.no_grad()
def forward_flops(task: Task) -> float:
    """Count the floating-point operations of a forward pass on the CPU, a row, in a second or two.

    The large products are not done, all else is: where points lie and what is matched depends on
    numbers.
    """
    rows = _first_rows(task, DRY_ROWS)
    model = copy.deepcopy(task.model).train()
    with _Undone() as counted:  # type: ignore[no-untyped-call]
        task.losses(model, rows, plain_draws(0, len(rows), torch.device("cpu")))
    return counted.flops / len(rows)


def product_flops(dtype: torch.dtype) -> float:
    """Measure the operations a second of matrix products on the CPU, at best."""
    factor = torch.ones(PRODUCT_SIDE, PRODUCT_SIDE, dtype=dtype)
    best, end = 0.0, time.perf_counter() + PRODUCTS_S
    while not best or time.perf_counter() < end:
        start = time.perf_counter()
        factor @ factor
        best = max(best, 2 * PRODUCT_SIDE**3 / (time.perf_counter() - start))
    return best


def projected_seconds(task: Task, config: LoopConfig) -> float:
    """How long a training would take on this CPU, roughly: its operations at a measured speed."""
    dtype = autocast_dtype(torch.device("cpu"), config.precision) or torch.float32
    flops = (1 + BACKWARD) * forward_flops(task) * config.epochs * task.num_rows
    return flops / (EFFICIENCY * product_flops(dtype))


def ask_for_patience(task: Task, config: LoopConfig, device: torch.device) -> None:
    """Raise ValueError if a training would take longer than half a day on a CPU."""
    if device.type != "cpu":
        return
    seconds = projected_seconds(task, config)
    if seconds > PATIENCE_S:
        raise ValueError(
            f"there is no GPU here, and on this CPU {config.epochs} epochs of {task.num_rows} would "
            f"take about {duration(seconds)}; ask for it with --device cpu"
        )


def _first_rows(task: Task, count: int) -> Tensor:
    rows = torch.arange(min(count, task.num_rows))
    # A norm over one row alone would fail; a task with a single row is repeated.
    return rows if len(rows) > 1 else rows.repeat(2)


def _probe_step(task: Task, model: nn.Module, device: torch.device) -> int:
    rows = _first_rows(task, PROBE_ROWS)
    terms = task.losses(model, rows, plain_draws(0, len(rows), device))
    total: Any = terms.total
    total.backward()
    return len(rows)
