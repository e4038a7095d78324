"""The loop: exact resume, signals, parts of batches, averages, best and last, what is not finite."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cache.checkpoint import WEIGHTS, read_arrays, read_meta
from cache.runs import METRICS
from stages.loop import loop
from stages.loop.loop import NonFiniteError
from stages.loop.loop_config import LoopConfig
from stages.loop.processes import Processes
from stages.loop.random_numbers import Draws
from stages.loop.task import Task, Terms
from tests.worlds.toys import CONFIG, ROWS, assert_same_run, failing, metrics, run_toy, toy


def test_it_learns_and_logs(tmp_path: Path) -> None:
    outcome = run_toy(tmp_path / "a", CONFIG.model_copy(update={"epochs": 30}))
    lines = metrics(tmp_path / "a")
    assert outcome.finished
    assert [line["epoch"] for line in lines] == list(range(1, 31))
    assert lines[-1]["val_error"] < 0.3 * lines[0]["val_error"]
    assert lines[-1]["lr"] == pytest.approx(CONFIG.lowest_lr)
    assert {"loss", "grad_norm", "noise", "weight_decay"} <= lines[0].keys()
    assert outcome.best is not None
    assert outcome.best["val_error"] == min(line["val_error"] for line in lines)
    assert read_meta(tmp_path / "a" / "best").position["epoch"] == outcome.best["epoch"]
    assert list((tmp_path / "a" / "tensorboard").iterdir())


@pytest.mark.parametrize(
    "change", [{}, {"ema": 0.9}, {"accumulate": 2}, {"optimizer": "adam", "clip_norm": 0.5}]
)
def test_stopped_and_gone_on_is_as_if_never_stopped(
    tmp_path: Path, change: dict[str, object]
) -> None:
    config = CONFIG.model_copy(update=change)
    run_toy(tmp_path / "whole", config)
    stopped = run_toy(tmp_path / "parts", config, stop_after_epoch=3)
    assert (stopped.finished, stopped.epoch) == (False, 3)
    assert run_toy(tmp_path / "parts", config).finished
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def interrupting(task: Task, at_call: int, number: signal.Signals) -> Task:
    """Send this process a signal in the middle of a step."""
    calls = 0

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        nonlocal calls
        calls += 1
        if calls == at_call:
            os.kill(os.getpid(), number)
        return task.losses(model, rows, draws)

    return replace(task, losses=losses)


@pytest.mark.parametrize("at_call", [1, 7, 10, 13, 30])
@pytest.mark.processes
def test_sigterm_in_an_epoch_finishes_the_step_and_goes_on_exactly(
    tmp_path: Path, at_call: int
) -> None:
    run_toy(tmp_path / "whole")
    task = interrupting(toy(), at_call, signal.SIGTERM)
    stopped = run_toy(tmp_path / "parts", task=task)
    assert (stopped.finished, stopped.step, stopped.stopped_by) == (False, at_call, "SIGTERM")
    assert read_meta(tmp_path / "parts" / "last").position["step"] == at_call
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert run_toy(tmp_path / "parts").finished
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.processes
def test_signals_are_told_apart(tmp_path: Path, number: signal.Signals) -> None:
    with handled(number, signal.SIG_DFL):  # whatever the tests were started with
        outcome = run_toy(tmp_path, task=interrupting(toy(), 3, number))
    assert (outcome.step, outcome.stopped_by) == (3, number.name)


@pytest.mark.processes
def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    with handled(signal.SIGHUP, signal.SIG_IGN):
        assert run_toy(tmp_path, task=interrupting(toy(), 3, signal.SIGHUP)).finished
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("at_call", [2, 8, 11, 30])
@pytest.mark.parametrize("change", [{}, {"ema": 0.9}])
def test_a_kill_costs_only_what_was_not_yet_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_call: int, change: dict[str, object]
) -> None:
    """In the middle of an epoch too: saved is after each step that the interval allows, here any."""
    config = CONFIG.model_copy(update=change)
    run_toy(tmp_path / "whole", config)
    monkeypatch.setattr(loop, "SAVE_INTERVAL_S", 0.0)
    with pytest.raises(RuntimeError, match="killed"):
        run_toy(tmp_path / "parts", config, task=failing(toy(), at_call, RuntimeError("killed")))
    assert read_meta(tmp_path / "parts" / "last").position["step"] == at_call - 1
    assert run_toy(tmp_path / "parts", config).finished
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_nothing_is_saved_before_its_time(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        run_toy(tmp_path, task=failing(toy(), 8, RuntimeError("killed")))
    assert not (tmp_path / "last").exists()


@contextmanager
def handled(number: signal.Signals, handler: signal.Handlers) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_kill_after_an_epoch_was_logged_repeats_it_once(tmp_path: Path) -> None:
    """The last checkpoint may be older than the last line of the log."""
    run_toy(tmp_path / "whole")
    run_toy(tmp_path / "parts", stop_after_epoch=2)
    lines = (tmp_path / "whole" / METRICS).read_text().splitlines()
    (tmp_path / "parts" / METRICS).write_text("\n".join([*lines[:4], lines[4][:20]]))
    run_toy(tmp_path / "parts")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_micro_batches_give_the_same_gradients(tmp_path: Path) -> None:
    """But for batch norm, which sees only its micro-batch: here it is left out."""

    def without_norm() -> Task:
        task = toy(dropout=0.0)
        task.model.layers[1] = nn.Identity()  # type: ignore[index]
        return task

    for name, accumulate in (("one", 1), ("four", 4)):
        config = CONFIG.model_copy(update={"accumulate": accumulate})
        run_toy(tmp_path / name, config, task=without_norm())
    one, four = (read_arrays(tmp_path / name / "last", WEIGHTS) for name in ("one", "four"))
    for key in one:
        np.testing.assert_allclose(one[key], four[key], atol=2e-5)


def test_the_averaged_network_is_judged_and_kept(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"ema": 0.5})
    outcome = run_toy(tmp_path, config)
    task = toy()
    assert task.evaluate
    # A checkpoint's weights are those that are judged, of `last` as of `best`.
    averaged = read_arrays(tmp_path / "last", WEIGHTS)
    task.model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in averaged.items()})
    assert task.evaluate(task.model.eval())["val_error"] == pytest.approx(
        outcome.metrics["val_error"], rel=1e-5
    )


def test_weights_are_kept_every_few_epochs(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"keep_every_epochs": 3})
    run_toy(tmp_path / "run", config, stop_after_epoch=4)
    run_toy(tmp_path / "run", config)
    kept = sorted((tmp_path / "run" / "kept").iterdir())
    assert [read_meta(folder).position["epoch"] for folder in kept] == [3, 6]
    last = read_arrays(tmp_path / "run" / "last", WEIGHTS)
    for name, value in read_arrays(kept[-1], WEIGHTS).items():
        np.testing.assert_array_equal(value, last[name])


def test_what_is_not_finite_stops_and_is_kept(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match=r"step \d: not finite: loss inf.*Try a lower lr"):
        run_toy(tmp_path, task=toy(poison_row=17))
    batch = load_file(tmp_path / "nonfinite" / "batch.safetensors")
    assert 17 in batch["rows"]
    assert batch["x"].shape == (8, 3)
    weights = read_arrays(tmp_path / "nonfinite", WEIGHTS)
    assert all(np.isfinite(value).all() for value in weights.values())


def test_batches_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"a batch of 41 is more than the {ROWS} training rows"):
        run_toy(tmp_path / "a", CONFIG.model_copy(update={"batch": 41}))
    with pytest.raises(ValueError, match="cannot be split evenly over 1 processes with 3 micro"):
        run_toy(tmp_path / "b", CONFIG.model_copy(update={"accumulate": 3}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own
def test_compiled_it_learns_the_same(tmp_path: Path) -> None:
    plain, compiled = (
        run_toy(
            tmp_path / name,
            LoopConfig(**{**CONFIG.model_dump(), "epochs": 2, "warmup_epochs": 0, "compile": on}),
            task=toy(dropout=0.0),
        )
        for name, on in (("plain", False), ("compiled", True))
    )
    assert compiled.metrics["val_error"] == pytest.approx(plain.metrics["val_error"], rel=1e-3)
    first, second = (read_arrays(tmp_path / n / "last", WEIGHTS) for n in ("plain", "compiled"))
    assert first.keys() == second.keys()


def test_alone_all_of_it_is_here() -> None:
    alone = Processes()
    assert alone.is_first
    assert alone.any(True)
    assert not alone.any(False)
    assert alone.sum(torch.ones(2)).tolist() == [1, 1]
    alone.wait()


def test_evaluation_in_the_loop_is_in_float32_as_the_final_one(tmp_path: Path) -> None:
    """Training in bfloat16; what is measured meanwhile would not be what is measured at the end."""
    seen = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        seen.append(torch.is_autocast_enabled("cpu"))
        return {"val_error": model(torch.ones(4, 3)).float().mean().item()}

    def losses(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        assert torch.is_autocast_enabled("cpu")
        return toy_task.losses(model, rows, draws)

    toy_task = toy()
    config = CONFIG.model_copy(update={"precision": "bf16", "epochs": 2})
    run_toy(tmp_path, config, task=replace(toy_task, losses=losses, evaluate=evaluate))
    assert seen == [False, False]
